package files

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Other programs read the files in the format and the size that the call named.
func TestExport_FormatsAndSizes(t *testing.T) {
	t.Parallel()
	h := connect(t, newService(t, nil))
	original := h.generate(t, "a hero image of a lighthouse", "1024x1024")
	for _, c := range []struct {
		saveAs string
		a      arguments
		want   facts
	}{
		{"assets/hero.webp", arguments{"size": "1200x630"}, facts{"webp", 1200, 630, false}},
		{"assets/hero.jpg", arguments{"size": "1200x630"}, facts{"jpeg", 1200, 630, false}},
		{"assets/hero.png", arguments{"size": "1200x630"}, facts{"png", 1200, 630, false}},
		{"assets/photo.jpeg", arguments{}, facts{"jpeg", 1024, 1024, false}},
		{"assets/same.webp", arguments{}, facts{"webp", 1024, 1024, false}},
		{"assets/same.png", arguments{}, facts{"png", 1024, 1024, false}},
		{"padded.png", arguments{"size": "400x200", "fit": "contain"}, facts{"png", 400, 200, true}},
		{"padded.webp", arguments{"size": "400x200", "fit": "contain"}, facts{"webp", 400, 200, true}},
		{"padded.jpg", arguments{"size": "400x200", "fit": "contain"}, facts{"jpeg", 400, 200, false}},
		{"padded-ffcc00.webp", arguments{"size": "400x200", "fit": "contain", "background": "#FC0"}, facts{"webp", 400, 200, false}},
		{"tiny.webp", arguments{"size": "1x1"}, facts{"webp", 1, 1, false}},
		{"line.png", arguments{"size": "4096x1"}, facts{"png", 4096, 1, false}},
		{"large.jpg", arguments{"size": "2048x2048"}, facts{"jpeg", 2048, 2048, false}},
	} {
		c.a["id"], c.a["save_as"] = original.ID, c.saveAs
		e := h.call(t, "export_image", c.a).Images[0]
		path := h.saved(t, e, c.saveAs)
		assert.Equal(t, c.want, look(t, path), c.saveAs)
		assert.Equal(t, [2]int{c.want.width, c.want.height}, [2]int{e.Width, e.Height}, c.saveAs)
		assert.Equal(t, "image/"+c.want.format, e.MIMEType, c.saveAs)
	}

	// The padding has the colour that was named, and white is that of a JPEG.
	for name, want := range map[string][4]int{"padded-ffcc00.webp": {255, 204, 0, 255}, "padded.jpg": {255, 255, 255, 255}, "padded.webp": {0, 0, 0, 0}, "padded.png": {0, 0, 0, 0}} {
		near(t, want, pixel(t, filepath.Join(h.project, name), 10, 100), 3, name)
	}
}

// pixel returns the red, green, blue and alpha of a pixel, as ImageMagick decodes it. The
// colour of a transparent pixel is 0.
func pixel(t *testing.T, path string, x, y int) [4]int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "convert", path+"[0]", "-crop", fmt.Sprintf("1x1+%d+%d", x, y), "-depth", "8", "rgba:-").Output()
	require.NoError(t, err, path)
	require.Len(t, out, 4, path)
	if out[3] == 0 {
		return [4]int{}
	}
	return [4]int{int(out[0]), int(out[1]), int(out[2]), int(out[3])}
}

// near checks a colour.
func near(t *testing.T, want, got [4]int, most int, what string) {
	t.Helper()
	for i := range want {
		assert.InDelta(t, want[i], got[i], float64(most), "%s: %v instead of %v", what, got, want)
	}
}

// generate_image and get_image save files as well, one for each image, and never over
// another file.
func TestGenerate_SaveAs(t *testing.T) {
	t.Parallel()
	h := connect(t, newService(t, nil))
	r := h.call(t, "generate_image", arguments{"prompt": "a red kite", "size": "512x768", "save_as": "assets/kite.webp"})
	assert.Equal(t, facts{"webp", 512, 768, false}, look(t, h.saved(t, r.Images[0], "assets/kite.webp")))
	assert.Contains(t, r.text, "assets/kite.webp")

	again := h.call(t, "get_image", arguments{"id": r.Images[0].ID, "save_as": "assets/kite.webp"})
	h.saved(t, again.Images[0], "assets/kite-2.webp")

	two := h.call(t, "generate_image", arguments{"prompt": "two kites", "size": "512x512", "n": 2, "save_as": "kite.png"})
	for i, e := range two.Images {
		assert.Equal(t, facts{"png", 512, 512, false}, look(t, h.saved(t, e, fmt.Sprintf("kite-%d.png", i+1))))
	}
}

// The pasted line of a file names its path and size.
func TestExport_ReadyLine(t *testing.T) {
	t.Parallel()
	h := connect(t, newService(t, nil))
	original := h.generate(t, "a lighthouse in fog", "512x512")
	r := h.call(t, "export_image", arguments{"id": original.ID, "save_as": "assets/hero.webp", "size": "300x200"})
	assert.Regexp(t, `!\[.*lighthouse.*\]\(assets/hero\.webp\)|<img src="assets/hero\.webp" width="300" height="200" alt=".*lighthouse.*"`, r.text)
}

// replace replaces only files that the program wrote and nobody changed since.
func TestExport_Replace(t *testing.T) {
	t.Parallel()
	h := connect(t, newService(t, nil))
	original := h.generate(t, "a red kite", "512x512")
	export := func(size string) entry {
		t.Helper()
		return h.call(t, "export_image", arguments{"id": original.ID, "save_as": "kite.png", "size": size, "replace": true}).Images[0]
	}
	path := h.saved(t, export("100x100"), "kite.png")
	h.saved(t, export("50x50"), "kite.png")
	assert.Equal(t, 50, look(t, path).width)

	file, err := os.ReadFile(path)
	require.NoError(t, err)
	changed := slices.Concat(file, []byte("changed by a person"))
	require.NoError(t, os.WriteFile(path, changed, 0o644))
	h.saved(t, export("60x60"), "kite-2.png")
	now, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, hash(changed), hash(now))
}

// Another process, another library and the terminal make the same bytes.
func TestExport_SameBytes(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	h := connect(t, s)
	original := h.generate(t, "a red kite", "512x512")
	for _, name := range []string{"kite.webp", "kite.png", "kite.jpg", "kite.ico"} {
		a := arguments{"id": original.ID, "save_as": name}
		if !strings.HasSuffix(name, ".ico") {
			a["size"] = "300x200"
		}
		first := h.call(t, "export_image", a).Images[0]
		require.NoError(t, os.RemoveAll(filepath.Join(h.store, ".exports")))
		other := &host{project: h.project, store: h.store}
		other.start(t, s, "--project", h.project)
		assert.Equal(t, first.SHA256, other.call(t, "export_image", a).Images[0].SHA256, name)
	}
}
