package files

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	sourceType = "http://cv.iptc.org/newscodes/digitalsourcetype/"
	prompt     = "A fox & a <hen>, 狐狸. They run."
)

// read returns the tags that exiftool finds in a file, after it has checked that exiftool
// finds no error in it.
func read(t *testing.T, path string) map[string]any {
	t.Helper()
	var list []map[string]any
	require.NoError(t, json.Unmarshal([]byte(tool(t, "exiftool", "-json", "-struct", "-all", "-validate", path)), &list))
	require.Regexp(t, `^(OK|\d+ Warnings? \((all )?minor\))$`, list[0]["Validate"], path)
	require.NotContains(t, list[0], "Error", path)
	return list[0]
}

// checkLabel checks the label of a file that was made of an image of the service.
func checkLabel(t *testing.T, tags map[string]any, original entry, what string) {
	t.Helper()
	for tag, want := range map[string]string{
		"DigitalSourceType":    sourceType + "trainedAlgorithmicMedia",
		"AISystemUsed":         "Z.AI",
		"AISystemVersionUsed":  "cogview-4-250304",
		"Credit":               "Made with AI (Z.AI)",
		"Identifier":           "zai-image://images/" + original.ID,
		"CreatorTool":          "zai-image-mcp",
		"AltTextAccessibility": "A fox & a <hen>, 狐狸",
	} {
		assert.Contains(t, fmt.Sprint(tags[tag]), want, "%s: %s", what, tag)
	}
	date := strings.NewReplacer("-", ":", "T", " ").Replace(original.CreatedAt[:len("2006-01-02")]) // exiftool's form
	assert.Contains(t, fmt.Sprint(tags["CreateDate"]), date, what)
	for _, private := range []string{"request", "Bearer", "ufileattname", "http://127.0.0.1"} {
		assert.NotContains(t, fmt.Sprint(tags), private, what)
	}
}

// exiftool reads the label of everything that leaves the library as a derived file.
func TestLabel_EveryDerivedFile(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	h := connect(t, s)
	r := h.call(t, "generate_image", arguments{"prompt": prompt, "size": "512x512", "save_as": "fox.png"})
	original := r.Images[0]
	checkLabel(t, read(t, write(t, "preview.jpg", r.preview)), original, "preview")
	for _, c := range []arguments{
		{"save_as": "unchanged.png"}, {"save_as": "small.png", "size": "100x100"},
		{"save_as": "fox.jpg"}, {"save_as": "small.jpg", "size": "100x100"},
		{"save_as": "fox.webp"}, {"save_as": "small.webp", "size": "100x100"}, {"save_as": "padded.webp", "size": "100x50", "fit": "contain"},
		{"save_as": "public", "set": "favicon"}, {"save_as": "icons", "set": "app-icon"}, {"save_as": "social", "set": "social"},
	} {
		c["id"] = original.ID
		for _, e := range h.call(t, "export_image", c).Images {
			path := h.saved(t, e, e.SavedAs)
			if filepath.Ext(path) == ".ico" {
				file, err := os.ReadFile(path)
				require.NoError(t, err)
				entries := icoEntries(t, file)
				path = write(t, "largest.png", entries[len(entries)-1])
			}
			tags := read(t, path)
			checkLabel(t, tags, original, e.SavedAs)
			assert.NotContains(t, tags, "AIPromptInformation", e.SavedAs)
			assert.NotContains(t, tags, "Aigc", e.SavedAs)
		}
	}
}

// The original keeps the bytes that the service sent, and an export with the same pixels
// adds nothing but the label.
func TestLabel_OriginalStays(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	h := connect(t, s)
	original := h.call(t, "generate_image", arguments{"prompt": prompt, "size": "512x512", "save_as": "fox.png"}).Images[0]
	assert.Equal(t, s.lastServed(), hash(stored(t, h.store, ".png")))

	again := h.call(t, "get_image", arguments{"id": original.ID}).Images[0]
	assert.Equal(t, s.lastServed(), again.SHA256)
	stored := write(t, "original.png", stored(t, h.store, ".png"))
	assert.NotContains(t, read(t, stored), "DigitalSourceType", "the original has no label")
	labelled := filepath.Join(h.project, "fox.png")
	assert.Zero(t, compare(t, "AE", stored, labelled), "pixels that differ")
	difference := size(t, labelled) - size(t, stored)
	assert.Positive(t, difference)
	assert.Less(t, difference, int64(4<<10))
}

// stored returns the only file in a library with an extension, without hidden folders.
func stored(t *testing.T, store, extension string) []byte {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(store, "[0-9]*", "*", "*", "*"+extension))
	require.NoError(t, err)
	require.Len(t, found, 1)
	file, err := os.ReadFile(found[0])
	require.NoError(t, err)
	return file
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

// A JPEG and a WebP original also keep their pixels if only the label is added.
func TestLabel_LosslessInEveryFormat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ format, options string }{
		{"jpg", "-quality 80"}, {"jpg", "-interlace JPEG"}, {"jpg", "-colorspace Gray"}, {"webp", "-quality 80"}, {"webp", "-define webp:lossless=true"}, {"png", "-interlace PNG"}, {"png", "-colors 16 -define png:color-type=3"},
	} {
		what := c.format + " " + c.options
		source := filepath.Join(t.TempDir(), "source."+c.format)
		tool(t, "sh", "-c", `exec convert -size 320x240 plasma:red-blue $0 "$1"`, c.options, source)
		picture, err := os.ReadFile(source)
		require.NoError(t, err)
		h := connect(t, newService(t, picture))
		original := h.generate(t, prompt, "512x512")
		assert.Equal(t, hash(picture), original.SHA256, what)
		e := h.call(t, "export_image", arguments{"id": original.ID, "save_as": "copy." + c.format}).Images[0]
		path := h.saved(t, e, "copy."+c.format)
		look(t, path)
		checkLabel(t, read(t, path), original, what)
		assert.Zero(t, compare(t, "AE", source, path), "%s: pixels that differ", what)
	}
}

// recipe adds the prompt, the producer adds the AIGC label, none adds nothing, and the
// sandbox says that no model made the image.
func TestLabel_Policies(t *testing.T) {
	t.Parallel()
	export := func(s *service, name string, flags ...string) (map[string]any, entry) {
		h := connect(t, s, flags...)
		original := h.generate(t, prompt, "512x512")
		e := h.call(t, "export_image", arguments{"id": original.ID, "save_as": name}).Images[0]
		return read(t, h.saved(t, e, name)), original
	}
	for _, name := range []string{"fox.png", "fox.jpg", "fox.webp"} {
		tags, original := export(newService(t, nil), name, "--label", "recipe", "--aigc-producer", "Example Ltd")
		checkLabel(t, tags, original, name)
		assert.Equal(t, prompt, tags["AIPromptInformation"], name)
		require.Contains(t, tags, "Aigc", name)
		var aigc map[string]string
		require.NoError(t, json.Unmarshal([]byte(fmt.Sprint(tags["Aigc"])), &aigc), "%s: %v", name, tags["Aigc"])
		assert.Equal(t, "1", aigc["Label"], name)
		assert.Equal(t, "Example Ltd", aigc["ContentProducer"], name)
		assert.Equal(t, original.ID, aigc["ProduceID"], name)

		tags, _ = export(newService(t, nil), name, "--label", "none")
		for _, tag := range []string{"DigitalSourceType", "AISystemUsed", "Credit", "Identifier", "Aigc", "XMPToolkit"} {
			assert.NotContains(t, tags, tag, name)
		}

		tags, _ = export(nil, name, "--sandbox")
		assert.Equal(t, sourceType+"algorithmicMedia", tags["DigitalSourceType"], name)
		assert.Equal(t, "Z.AI sandbox", tags["AISystemUsed"], name)
	}
}

// What the original says of itself stays in exports, and Content Credentials are not
// broken.
func TestLabel_MarksOfTheOriginal(t *testing.T) {
	t.Parallel()
	source := write(t, "marked.png", disc(t, 256, opaqueWhite))
	tool(t, "exiftool", "-overwrite_original", "-XMP-dc:Rights=Upstream Ltd", "-XMP-xmp:Label=upstream", source)
	picture, err := os.ReadFile(source)
	require.NoError(t, err)
	h := connect(t, newService(t, picture))
	original := h.generate(t, prompt, "512x512")
	for _, a := range []arguments{
		{"save_as": "same.png"}, {"save_as": "small.png", "size": "100x100"}, {"save_as": "small.jpg", "size": "100x100"}, {"save_as": "small.webp", "size": "100x100"},
	} {
		a["id"] = original.ID
		e := h.call(t, "export_image", a).Images[0]
		tags := read(t, h.saved(t, e, e.SavedAs))
		assert.Equal(t, "Upstream Ltd", tags["Rights"], e.SavedAs)
		checkLabel(t, tags, original, e.SavedAs)
	}
}
