package resources_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/label"
)

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// labelIn returns the label of a file.
func labelIn(t testing.TB, file []byte, mimeType string) label.Label {
	t.Helper()
	m, err := label.Find(bytes.NewReader(file), mimeType)
	require.NoError(t, err)
	l, ok := label.Parse(m.XMP)
	require.True(t, ok, "%s has a label", mimeType)
	return l
}

// withChunk returns a PNG with a chunk after its header.
func withChunk(file []byte, name string, data []byte) []byte {
	const header = 8 + 25
	return bytes.Join([][]byte{file[:header], testrig.PNGChunk(name, data), file[header:]}, nil)
}

// aigc is the label of another service.
const aigc = `{"Label":"1","ContentProducer":"somebody","ProduceID":"7","ReservedCode1":"","ContentPropagator":"","PropagateID":"","ReservedCode2":""}`

// withAIGC returns a PNG with the AIGC label of another service.
func withAIGC(file []byte) []byte { return withChunk(file, "tEXt", []byte("AIGC\x00"+aigc)) }

// Whatever is made from an image says where it comes from, as the policy says.
func TestLabel_DerivedFiles(t *testing.T) {
	t.Parallel()
	const prompt = "A fox in the snow. Its fur is red."
	for _, policy := range []label.Policy{{}, {Mode: label.Source}, {Mode: label.Recipe}, {Mode: label.None}, {Producer: "somebody in China"}} {
		l := openWith(t, libraryOptions{Label: policy})
		i := save(t, l, prompt, testrig.PNGPhoto(t, 64, 48))
		preview, err := l.Preview(t.Context(), i)
		require.NoError(t, err)
		stored, err := l.Preview(t.Context(), i)
		require.NoError(t, err)
		assert.Equal(t, preview, stored)
		i.Width, i.Height = 64, 48
		copied, err := l.Reencode(t.Context(), i, 50_000)
		require.NoError(t, err)
		files := map[string][]byte{"preview": preview, "copy": copied}
		mimeTypes := map[string]string{"preview": "image/jpeg", "copy": "image/jpeg"}
		for _, text := range []string{"png", "png-20x20-cover", "jpg", "webp-30x30-contain"} {
			e, err := l.Export(t.Context(), i, spec(t, text))
			require.NoError(t, err)
			files[text], mimeTypes[text] = e.Data, e.MIMEType
		}
		for name, file := range files {
			marks, err := label.Find(bytes.NewReader(file), mimeTypes[name])
			require.NoError(t, err)
			if policy.Mode == label.None {
				assert.Empty(t, marks.Names(), name)
				continue
			}
			got := labelIn(t, file, mimeTypes[name])
			assert.Equal(t, []any{i.ID, "m", i.CreatedAt.Unix(), "A fox in the snow"}, []any{got.ID, got.Model, got.CreatedAt.Unix(), got.AltText}, name)
			assert.Equal(t, policy.Producer != "", strings.Contains(marks.AIGC, policy.Producer) && marks.AIGC != "", name)
			hasRecipe := policy.Mode == label.Recipe && mimeTypes[name] != "" && name != "preview" && name != "copy"
			assert.Equal(t, hasRecipe, got.Prompt == prompt && got.Size == "40x30" && got.Quality == "hd", name)
			assert.Equal(t, hasRecipe, bytes.Contains(file, []byte("Its fur")), name)
		}
	}
}

// The marks of the original stay in what is made from it.
func TestLabel_MarksOfTheOriginal(t *testing.T) {
	t.Parallel()
	l := openWith(t, libraryOptions{Label: label.Policy{Producer: "operator"}})
	i := save(t, l, "A fox", withAIGC(testrig.PNGPhoto(t, 64, 48)))
	assert.Equal(t, []string{label.AIGC}, i.Marks)
	files := map[string][]byte{}
	var err error
	files["image/jpeg"], err = l.Preview(t.Context(), i)
	require.NoError(t, err)
	for _, text := range []string{"png", "webp", "png-20x20-cover"} {
		e, err := l.Export(t.Context(), i, spec(t, text))
		require.NoError(t, err)
		files[e.MIMEType] = e.Data
	}
	for mime, file := range files {
		m, err := label.Find(bytes.NewReader(file), mime)
		require.NoError(t, err)
		assert.JSONEq(t, aigc, m.AIGC, mime)
		assert.Equal(t, "A fox", labelIn(t, file, mime).AltText)
	}
}

// The marks of images that an earlier version saved are read from their files.
func TestLabel_MarksNotRecorded(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	i := save(t, l, "A fox", withAIGC(testrig.PNGPhoto(t, 64, 48)))
	i.Marks = nil
	preview, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	copied, err := l.Reencode(t.Context(), i, 50_000)
	require.NoError(t, err)
	e, err := l.Export(t.Context(), i, spec(t, "jpg-20x20-cover"))
	require.NoError(t, err)
	shown, err := l.ExportPreview(t.Context(), i, e.Spec)
	require.NoError(t, err)
	for name, file := range map[string][]byte{"preview": preview, "copy": copied, "export": e.Data, "preview of the export": shown} {
		m, err := label.Find(bytes.NewReader(file), "image/jpeg")
		require.NoError(t, err)
		assert.JSONEq(t, aigc, m.AIGC, name)
		assert.Equal(t, i.ID, labelIn(t, file, "image/jpeg").ID, name)
	}
}

// noise returns an image that compresses badly.
func noise(width, height int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	random := rand.New(rand.NewPCG(3, 4))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{uint8(random.Uint32()), uint8(random.Uint32()), uint8(random.Uint32()), 255})
		}
	}
	return img
}

// A preview is within its limit with its label and with the marks of the original, also
// if an earlier version left no room for them.
func TestPreview_RoomForLabel(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := openWith(t, libraryOptions{Folder: folder, Label: label.Policy{Mode: label.Recipe, Producer: strings.Repeat("長", 60)}})
	prompt := strings.Repeat("&<>狐", 2500)
	i, err := l.Save(t.Context(), reserve(t, l, prompt), resources.Content{
		Reader: bytes.NewReader(withAIGC(encodePNG(t, noise(600, 600)))), MIMEType: "image/png", Extension: ".png", Width: 600, Height: 600,
	}, "")
	require.NoError(t, err)
	first, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(first), resources.PreviewBytes)
	labelIn(t, first, "image/jpeg")
	for _, limit := range []int{20_000, 100_000} {
		b, err := l.Reencode(t.Context(), i, limit)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(b), limit)
		labelIn(t, b, "image/jpeg")
	}
	paths, err := filepath.Glob(filepath.Join(folder, ".previews", "*", "*", "*", "*.jpg"))
	require.NoError(t, err)
	require.Len(t, paths, 1)
	old, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	require.Positive(t, resources.PreviewBytes-len(old))
	old = append(old, make([]byte, resources.PreviewBytes-len(old))...) // decoders ignore what follows the image
	_, err = jpeg.Decode(bytes.NewReader(old))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(paths[0], old, 0o600))
	again, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	assert.Equal(t, first, again)
}

// AltText is the first sentence of a prompt on one line.
func TestAltText(t *testing.T) {
	t.Parallel()
	for prompt, want := range map[string]string{
		"":                                      "",
		"A fox":                                 "A fox",
		"A fox.":                                "A fox",
		"A fox in the snow. Its fur is red.":    "A fox in the snow",
		"What a fox! Red.":                      "What a fox!",
		"Version 2.5 of a logo":                 "Version 2.5 of a logo",
		"  A\tfox\x00  in \u00a0 snow\nRed fur": "A fox in snow",
		"雪中的狐狸。毛是红色的。":                          "雪中的狐狸",
		"\xff\xfeA fox":                         "A fox",
		strings.Repeat("word ", 40):             strings.TrimSpace(strings.Repeat("word ", 23)) + "…",
		strings.Repeat("狐", 200):                strings.Repeat("狐", 119) + "…",
		strings.Repeat("x", 120):                strings.Repeat("x", 120),
	} {
		got := resources.AltText(prompt)
		assert.Equal(t, want, got)
		assert.LessOrEqual(t, len([]rune(got)), 120)
	}
}

// Save records the marks of a file, whatever the file is, and logs them once.
func TestSave_Marks(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	folder := t.TempDir()
	l := openWith(t, libraryOptions{Folder: folder, Log: slog.New(slog.NewTextHandler(&log, nil))})
	plain := testrig.PNGPhoto(t, 64, 48)
	for _, tt := range []struct {
		file []byte
		want []string
	}{
		{withAIGC(plain), []string{label.AIGC}},
		{plain, []string{}},
		{withChunk(plain, "iTXt", []byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"/>")), []string{label.XMP}},
		{withChunk(withAIGC(plain), "caBX", []byte("jumb")), []string{label.AIGC, label.C2PA}},
		{[]byte("no image"), []string{}},
		{nil, []string{}},
		{withAIGC(plain)[:200], []string{label.AIGC}},
	} {
		i := save(t, l, "A fox", tt.file)
		assert.Equal(t, tt.want, i.Marks)
		assert.Equal(t, sha256Hex(tt.file), i.SHA256, "the file is stored as it is")
		back, err := l.Image(t.Context(), "local", i.ID)
		require.NoError(t, err)
		assert.Equal(t, tt.want, back.Marks)
		assert.Equal(t, tt.want, l.Describe(t.Context(), back, resources.Locator{}).Marks)
		back.Marks = nil // saved by an earlier version
		assert.Equal(t, tt.want, l.Describe(t.Context(), back, resources.Locator{}).Marks)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "looked for marks"), log.String())
	assert.Contains(t, log.String(), "AIGC")
	missing := save(t, l, "gone", plain)
	require.NoError(t, os.Remove(l.Path(missing)))
	missing.Marks = nil
	assert.Nil(t, l.Describe(t.Context(), missing, resources.Locator{}).Marks, "they are not known")
}
