package files

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	opaqueWhite = color.RGBA{255, 255, 255, 255}
	lightGreen  = color.RGBA{190, 240, 190, 255}
)

// On two colours, the transparent export of a disc looks like the disc drawn on these
// colours, and no rim of its former background is left.
func TestExport_TransparentOnTwoColours(t *testing.T) {
	t.Parallel()
	for name, background := range map[string]color.RGBA{"white": opaqueWhite, "light green": lightGreen} {
		h := connect(t, newService(t, disc(t, 512, background)))
		original := h.generate(t, "a red disc on a plain background", "512x512")
		for _, format := range []string{"png", "webp"} {
			e := h.call(t, "export_image", arguments{"id": original.ID, "save_as": "disc." + format, "background": "transparent"}).Images[0]
			path := h.saved(t, e, "disc."+format)
			require.Equal(t, facts{format, 512, 512, true}, look(t, path))
			for _, under := range []color.RGBA{{0, 0, 0, 255}, {255, 0, 255, 255}} {
				colour := fmt.Sprintf("rgb(%d,%d,%d)", under.R, under.G, under.B)
				what := fmt.Sprintf("%s, %s on %s", name, format, colour)
				shown := filepath.Join(t.TempDir(), "shown.png")
				tool(t, "convert", path, "-background", colour, "-flatten", "-alpha", "off", shown)
				for _, corner := range [][2]int{{0, 0}, {511, 0}, {0, 511}, {511, 511}} {
					near(t, [4]int{int(under.R), int(under.G), int(under.B), 255}, pixel(t, shown, corner[0], corner[1]), 3, what+": a corner")
				}
				near(t, [4]int{20, 40, 220, 255}, pixel(t, shown, 256, 256), 20, what+": the middle")
				near(t, [4]int{220, 30, 20, 255}, pixel(t, shown, 256, 120), 20, what+": the disc")

				want := write(t, "want.png", disc(t, 512, under))
				assert.Less(t, compare(t, "RMSE", shown, want), 0.03, what)
			}
		}
	}
}

// Without a plain background the call is refused, and says what to do.
func TestExport_NoPlainBackground(t *testing.T) {
	t.Parallel()
	h := connect(t, newService(t, nil))
	original := h.generate(t, "a landscape", "512x512")
	r, err := h.try(t, "export_image", arguments{"id": original.ID, "save_as": "x.png", "background": "transparent"})
	require.NoError(t, err)
	assert.True(t, r.isError)
	assert.Equal(t, "invalid_argument", r.Error.Kind, r.text)
	assert.Contains(t, r.text, "plain")
	assert.Len(t, tree(t, h.project), 1)
}

// compare returns how ImageMagick measures the difference of two images, from 0 for equal
// images to 1.
func compare(t *testing.T, metric, a, b string) float64 {
	t.Helper()
	text := tool(t, "sh", "-c", `compare -metric "$0" "$1" "$2" null: 2>&1; [ $? -le 1 ]`, metric, a, b)
	inner, _, _ := strings.Cut(text[strings.Index(text, "(")+1:], ")")
	value, err := strconv.ParseFloat(inner, 64)
	require.NoError(t, err, text)
	return value
}
