package resources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/oklog/ulid/v2"

	"zai-image-mcp/resources/label"
	"zai-image-mcp/resources/pixels"
)

// Adopted describes what Reindex did with one file.
type Adopted struct {
	ID   string `json:"id"`
	Path string `json:"path"`
	Note string `json:"note"` // what was done, or why nothing was
	OK   bool   `json:"ok"`
}

// Reindex adds files that are missing from the catalog as images of the owner. Use it
// after the catalog was lost, or after a disk failed between the writes of a file
// and its row. An image without a row gets its time from the id and its prompt from
// the words in the file's name, and has no cost. If the file has the label that this program
// gives to files made from the image, model and time come from there, and also prompt, size
// and quality if the label has them. Reindex returns the files that it added, and those that
// it could not add.
func (l *Library) Reindex(ctx context.Context, owner string, progress func(done, total int)) ([]Adopted, error) {
	if err := l.store.Present(ctx); err != nil {
		return nil, err
	}
	if err := l.Ready(ctx); err != nil {
		return nil, err
	}
	found, err := l.store.Walk(ctx)
	if err != nil {
		return nil, err
	}
	files := found.Files
	names := slices.Sorted(maps.Keys(files))
	var list []Adopted
	for n, name := range names {
		a := Adopted{ID: files[name], Path: name}
		a.Note, err = l.adopt(ctx, owner, files[name], name)
		switch {
		case ctx.Err() != nil:
			return list, ctx.Err()
		case err != nil:
			a.Note = err.Error()
		}
		if a.OK = err == nil; a.Note != "" {
			list = append(list, a)
		}
		if progress != nil {
			progress(n+1, len(names))
		}
	}
	return list, nil
}

// adopt records a file as that of the image with the id, and returns what it did.
// The note is empty if the image already has a file, is being made, or was removed.
// adopt fails with ErrCorrupt if the file is not an image or differs from what was
// saved.
func (l *Library) adopt(ctx context.Context, owner, id, name string) (note string, err error) {
	found, err := l.catalog.Row(ctx, id)
	i, known := found.Image, err == nil
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return "", err
	case known && (i.State == Removed || i.Working() || i.Path == name):
		return "", nil
	case known && i.State == Saved && l.exists(ctx, i.Path):
		return "", nil // a copy
	}
	file, marks, err := l.identify(ctx, name)
	if err != nil {
		return "", err
	}
	if known && i.SHA256 != "" && i.SHA256 != file.SHA256 {
		return "", fmt.Errorf("%w: %s differs from what was saved", ErrCorrupt, name)
	}
	if known && i.State == Saved {
		return "found again", l.catalog.Move(ctx, id, i.Path, name)
	}
	if known {
		return "completed", l.Record(ctx, i.savedAs(file))
	}
	parsed, err := ulid.ParseStrict(strings.ToUpper(id))
	if err != nil {
		return "", fmt.Errorf("the id in the name: %w", err)
	}
	file.ID, file.CallID, file.Owner, file.State, file.Delivered, file.CreatedAt = id, id, owner, Saved, true, ulid.Time(parsed.Time()).UTC()
	file.Prompt = strings.ReplaceAll(strings.TrimSuffix(path.Base(name), "-"+id+path.Ext(name)), "-", " ")
	file.Size, file.Quality = fmt.Sprintf("%dx%d", file.Width, file.Height), "standard"
	if made, ok := label.Parse(marks.XMP); ok && made.ID == id {
		file = l.describedBy(made, file)
	}
	_, err = l.catalog.Insert(ctx, Row{Image: file})
	return "added", err
}

// describedBy returns an image with what the label of its file says of it. Anybody can have
// written the label, so texts that cannot be from this program are left out.
func (l *Library) describedBy(made label.Label, i Image) Image {
	const (
		word   = 100     // bytes of a model, a size or a quality
		prompt = 1 << 16 // bytes
	)
	i.Model, i.Sandbox = plausible(made.Model, word, i.Model), made.Sandbox
	if !made.CreatedAt.IsZero() && made.CreatedAt.Before(l.now()) {
		i.CreatedAt = made.CreatedAt.UTC()
	}
	if made.Recipe {
		i.Prompt = plausible(made.Prompt, prompt, i.Prompt)
		i.Size, i.Quality = plausible(made.Size, word, i.Size), plausible(made.Quality, word, i.Quality)
	}
	return i
}

// plausible returns a text, or other if the text is empty, has more than limit bytes, or has
// control characters apart from line breaks and tabs.
func plausible(text string, limit int, other string) string {
	isControl := func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\r\n\t", r) }
	if text == "" || len(text) > limit || strings.ContainsFunc(text, isControl) {
		return other
	}
	return text
}

// identify reads the type, dimensions, size, hash and marks of an image file. It fails with
// ErrCorrupt if the file is not an image.
func (l *Library) identify(ctx context.Context, name string) (Image, label.Marks, error) {
	file, err := l.store.Open(ctx, name)
	if err != nil {
		return Image{}, label.Marks{}, err
	}
	defer file.Close()
	hash := sha256.New()
	const sniffed = 512
	head := make([]byte, sniffed)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Image{}, label.Marks{}, fmt.Errorf("%w: %s is not an image", ErrCorrupt, name)
	}
	i := Image{Path: name, MIMEType: http.DetectContentType(head[:n])}
	c, err := codecFor(i.MIMEType)
	var config image.Config
	if err == nil {
		if _, err = file.Seek(0, io.SeekStart); err == nil {
			config, err = c.config(file)
		}
	}
	if err != nil || config.Width <= 0 || config.Height <= 0 || max(config.Width, config.Height) > pixels.MaxSide {
		return Image{}, label.Marks{}, fmt.Errorf("%w: %s is not an image", ErrCorrupt, name)
	}
	if _, err = file.Seek(0, io.SeekStart); err == nil {
		i.Bytes, err = io.Copy(hash, file)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return Image{}, label.Marks{}, readError(name, err)
	}
	marks, _ := label.Find(file, i.MIMEType) // those before a defect count too
	i.Marks = marks.Names()
	i.SHA256, i.Width, i.Height = hex.EncodeToString(hash.Sum(nil)), config.Width, config.Height
	return i, marks, nil
}
