package resources_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/render"
)

// The colors of a lossy WebP stay the same in previews and exports.
func TestLibrary_ColorsOfWebP(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	for _, alpha := range []uint8{255, 0} {
		for _, want := range []color.RGBA{{0, 0, 0, 255}, {255, 255, 255, 255}, {220, 30, 40, 255}, {20, 160, 70, 255}, {30, 60, 200, 255}} {
			img := image.NewRGBA(image.Rect(0, 0, 64, 64))
			draw.Draw(img, img.Rect, image.NewUniform(want), image.Point{}, draw.Src)
			img.SetRGBA(0, 0, color.RGBA{A: alpha}) // selects the variant of WebP
			r, err := render.Render(img, spec(t, "webp"))
			require.NoError(t, err)
			i := saveFile(t, l, "image/webp", ".webp", r.Data, 64, 64)
			e, err := l.Export(t.Context(), i, spec(t, "png"))
			require.NoError(t, err)
			exported, err := png.Decode(bytes.NewReader(e.Data))
			require.NoError(t, err)
			file, err := l.Preview(t.Context(), i)
			require.NoError(t, err)
			preview, err := jpeg.Decode(bytes.NewReader(file))
			require.NoError(t, err)
			for _, got := range []image.Image{exported, preview} {
				c := color.RGBAModel.Convert(got.At(40, 40)).(color.RGBA)
				for _, channel := range [][2]uint8{{want.R, c.R}, {want.G, c.G}, {want.B, c.B}} {
					assert.InDelta(t, channel[0], channel[1], 7, "%v, want %v", c, want)
				}
			}
		}
	}
}
