package resources

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"io"
	"strings"
	"unicode"

	"zai-image-mcp/resources/label"
)

// labelOf returns the label of the files made from an image.
func (l *Library) labelOf(i Image) label.Label {
	made := l.sourceLabel(i)
	if l.labels.Mode == label.Recipe {
		made.Recipe, made.Prompt, made.Size, made.Quality = true, i.Prompt, i.Size, i.Quality
	}
	return made
}

// sourceLabel returns the label of the previews and JPEG copies of an image. It has no
// recipe, because their size is limited.
func (l *Library) sourceLabel(i Image) label.Label {
	return label.Label{
		ID: i.ID, Model: i.Model, CreatedAt: i.CreatedAt, Sandbox: i.Sandbox, AltText: AltText(i.Prompt), Producer: l.labels.Producer,
	}
}

// label returns a file with a label. It returns the file as it is if the policy is to add
// none, and together with an error of package label.
func (l *Library) label(file []byte, mimeType string, made label.Label) ([]byte, error) {
	if l.labels.Mode == label.None {
		if m, err := label.Find(bytes.NewReader(file), mimeType); err == nil && m.C2PA {
			return file, label.ErrSigned
		}
		return file, nil
	}
	labelled, err := label.Add(file, mimeType, made)
	if err != nil {
		return file, err
	}
	return labelled, nil
}

// labelJPEG returns a preview or a JPEG copy of an image with the label.
func (l *Library) labelJPEG(ctx context.Context, i Image, file []byte) []byte {
	labelled, err := l.label(file, "image/jpeg", l.sourceLabel(i))
	if err != nil {
		l.log.WarnContext(ctx, "failed to label a JPEG", "id", i.ID, "error", err)
	}
	return labelled
}

// carry returns a file with the marks of the original that it was made from. It returns
// the file without them if they do not fit into it.
func (l *Library) carry(ctx context.Context, i Image, file []byte, mimeType string, m label.Marks) []byte {
	if m.XMP == nil && m.AIGC == "" {
		return file
	}
	carried, err := label.Carry(file, mimeType, m)
	if err != nil {
		l.log.WarnContext(ctx, "failed to carry over the marks of an image", "id", i.ID, "marks", m.Names(), "error", err)
		return file
	}
	return carried
}

// jpegMarks returns the marks for a JPEG copy of an image with at most limit bytes, and the
// room that is left for its pixels after the marks and the label. It leaves out an XMP
// packet that takes more than a quarter of the limit.
func (l *Library) jpegMarks(ctx context.Context, i Image, file io.ReadSeeker, limit int) (label.Marks, int, error) {
	m := l.marksOf(i, file)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return m, 0, err
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1)), nil); err != nil {
		return m, 0, err
	}
	need := func() int {
		return len(l.labelJPEG(ctx, i, l.carry(ctx, i, b.Bytes(), "image/jpeg", m))) - b.Len()
	}
	room := limit - need()
	if m.XMP != nil && room < limit*3/4 {
		m.XMP = nil
		room = limit - need()
	}
	return m, room, nil
}

const maxAltText = 120 // characters

// AltText returns a description of an image for people who cannot see it: the first
// sentence of its prompt, on one line and without its full stop. It is cut between words,
// with an ellipsis, at 120 characters.
func AltText(prompt string) string {
	text := []rune(strings.Join(strings.FieldsFunc(firstSentence(prompt), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " "))
	if len(text) <= maxAltText {
		return strings.TrimRight(string(text), ".。 ")
	}
	cut := string(text[:maxAltText-1])
	if space := strings.LastIndexByte(cut, ' '); space > len(cut)/2 {
		cut = cut[:space]
	}
	return strings.TrimRight(cut, ".,;:。，、；： ") + "…"
}

// firstSentence returns a text up to the end of its first sentence: a line break, a mark
// that ends Chinese and Japanese sentences, or a mark that is followed by a space.
func firstSentence(text string) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, ""))
	rest := []rune(text)
	for n, r := range rest {
		last := n+1 == len(rest)
		switch {
		case r == '\n' || r == '\r':
			return string(rest[:n])
		case strings.ContainsRune("。！？", r):
			return string(rest[:n+1])
		case strings.ContainsRune(".!?", r) && !last && unicode.IsSpace(rest[n+1]):
			return string(rest[:n+1])
		}
	}
	return text
}
