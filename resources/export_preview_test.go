package resources_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// The preview of an export shows its crop, padding and background, has a label, and is within
// the limits of a preview. It is made with the same decoding as the export.
func TestExportPreview(t *testing.T) {
	t.Parallel()
	g := &gate{}
	l := openWith(t, libraryOptions{WrapStore: func(s resources.Store) resources.Store { g.Store = s; return g }})
	i := saveFile(t, l, "image/png", ".png", encodePNG(t, disc(600)), 600, 600)
	paper := color.RGBA{250, 250, 250, 255}
	white, blue := color.RGBA{255, 255, 255, 255}, color.RGBA{0, 0, 255, 255}
	for _, tt := range []struct {
		spec          string
		width, height int
		corner        color.RGBA
	}{
		{"png", 512, 512, paper},
		{"webp", 512, 512, paper},
		{"jpg-0000ff", 512, 512, paper}, // the original is opaque
		{"png-transparent", 512, 512, white},
		{"webp-1200x630-contain-0000ff", 512, 269, blue},
		{"jpg-1024x512-contain", 512, 256, white},
		{"png-20x10-cover", 20, 10, paper},
		{"ico", 256, 256, paper},
		{"ico-64x64-cover-transparent", 256, 256, white},
	} {
		s := spec(t, tt.spec)
		before := g.opens.Load()
		if small, ok := resources.PreviewSpec(i, s); ok {
			_, err := l.Exports(t.Context(), i, s, small)
			require.NoError(t, err, tt.spec)
			assert.Equal(t, before+1, g.opens.Load(), "%s: both are made at once", tt.spec)
			before++
		}
		b, err := l.ExportPreview(t.Context(), i, s)
		require.NoError(t, err, tt.spec)
		if tt.spec != "png" { // the first one, for which the preview of the image is made
			assert.Equal(t, before, g.opens.Load(), tt.spec)
		}
		assert.LessOrEqual(t, len(b), resources.PreviewBytes)
		assert.Equal(t, i.ID, labelIn(t, b, "image/jpeg").ID)
		img, err := jpeg.Decode(bytes.NewReader(b))
		require.NoError(t, err)
		assert.Equal(t, image.Rect(0, 0, tt.width, tt.height), img.Bounds(), tt.spec)
		r, gr, bl, _ := img.At(1, 1).RGBA()
		for n, difference := range []int{int(r>>8) - int(tt.corner.R), int(gr>>8) - int(tt.corner.G), int(bl>>8) - int(tt.corner.B)} {
			assert.InDelta(t, 0, difference, 8, "%s: channel %d of the corner", tt.spec, n)
		}
	}
	_, err := l.ExportPreview(t.Context(), reserve(t, l, "x"), spec(t, "png-20x10-cover"))
	require.ErrorIs(t, err, resources.ErrNotFound)
}
