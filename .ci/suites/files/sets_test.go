package files

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sizes are the files of a set with their formats and sizes.
type sizes map[string]facts

// Every file of every set has the size and the transparency that its readers expect.
func TestExport_Sets(t *testing.T) {
	t.Parallel()
	white := newService(t, disc(t, 1024, opaqueWhite))
	h := connect(t, white)
	original := h.generate(t, "a red disc on a plain white background", "1024x1024")
	for _, c := range []struct {
		set, saveAs, background string
		want                    sizes
	}{
		{"favicon", "public", "", sizes{
			"public/favicon.ico": {}, "public/favicon-32x32.png": {"png", 32, 32, false}, "public/apple-touch-icon.png": {"png", 180, 180, false},
			"public/icon-192.png": {"png", 192, 192, false}, "public/icon-512.png": {"png", 512, 512, false},
		}},
		{"favicon", "clear/", "transparent", sizes{
			"clear/favicon.ico": {}, "clear/favicon-32x32.png": {"png", 32, 32, true}, "clear/apple-touch-icon.png": {"png", 180, 180, false},
			"clear/icon-192.png": {"png", 192, 192, true}, "clear/icon-512.png": {"png", 512, 512, true},
		}},
		{"social", "social/card.jpg", "", sizes{
			"1200x630": {"jpeg", 1200, 630, false}, "1080x1080": {"jpeg", 1080, 1080, false}, "1500x500": {"jpeg", 1500, 500, false},
		}},
		{"social", "social/card.webp", "", sizes{
			"1200x630": {"webp", 1200, 630, false}, "1080x1080": {"webp", 1080, 1080, false}, "1500x500": {"webp", 1500, 500, false},
		}},
		{"app-icon", "icons", "", sizes{
			"1024": {"png", 1024, 1024, false}, "playstore": {"png", 512, 512, false}, "mipmap-mdpi": {"png", 48, 48, false}, "mipmap-hdpi": {"png", 72, 72, false},
			"mipmap-xhdpi": {"png", 96, 96, false}, "mipmap-xxhdpi": {"png", 144, 144, false}, "mipmap-xxxhdpi": {"png", 192, 192, false},
		}},
	} {
		a := arguments{"id": original.ID, "set": c.set, "save_as": c.saveAs}
		if c.background != "" {
			a["background"] = c.background
		}
		r := h.call(t, "export_image", a)
		require.Len(t, r.Images, len(c.want), "%s %s: %+v", c.set, c.saveAs, r.Images)
		for _, e := range r.Images {
			want, name := c.want.of(t, e.SavedAs)
			path := h.saved(t, e, e.SavedAs)
			if filepath.Ext(name) == ".ico" {
				checkICO(t, path)
				continue
			}
			assert.Equal(t, want, look(t, path), "%s %s", c.set, e.SavedAs)
		}
	}
	assert.NotContains(t, tree(t, h.project), filepath.Join(h.project, ".tmp"))
}

// of returns the facts of the longest name that is a part of a file's name.
func (s sizes) of(t *testing.T, savedAs string) (want facts, name string) {
	t.Helper()
	for part, f := range s {
		if strings.Contains("/"+savedAs, part) && len(part) > len(name) {
			want, name = f, part
		}
	}
	require.NotEmpty(t, name, "no file of the set: %s", savedAs)
	return want, name
}

// checkICO checks that file and ImageMagick find 16, 32 and 48 pixels in an ICO file, and
// that its entries are valid PNG files.
func checkICO(t *testing.T, path string) {
	t.Helper()
	assert.Regexp(t, `MS Windows icon resource - 3 icons`, tool(t, "file", "--brief", path))
	assert.Equal(t, []string{"16x16", "32x32", "48x48"}, strings.Fields(tool(t, "identify", "-format", "%wx%h ", path)))
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	for i, entry := range icoEntries(t, file) {
		f := look(t, write(t, "entry.png", entry))
		side := 16 * (i + 1)
		assert.Equal(t, facts{"png", side, side, true}, f)
	}
}

// icoEntries returns the PNG files in an ICO file, smallest first.
func icoEntries(t *testing.T, file []byte) (entries [][]byte) {
	t.Helper()
	for i := range int(binary.LittleEndian.Uint16(file[4:])) {
		e := file[6+16*i:]
		length, offset := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
		require.LessOrEqual(t, int(offset+length), len(file))
		entries = append(entries, file[offset:offset+length])
	}
	return entries
}

// The lines of a favicon set name its files.
func TestExport_FaviconLines(t *testing.T) {
	t.Parallel()
	h := connect(t, newService(t, nil))
	original := h.generate(t, "a red kite", "512x512")
	r := h.call(t, "export_image", arguments{"id": original.ID, "set": "favicon", "save_as": "public/"})
	for _, part := range []string{`<link rel="icon"`, `<link rel="apple-touch-icon"`, "favicon.ico", "favicon-32x32.png", "apple-touch-icon.png", "icon-192.png", "icon-512.png"} {
		assert.Contains(t, r.text, part)
	}
}
