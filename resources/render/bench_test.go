package render_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/render"
)

// photo returns a picture with smooth areas, edges and noise, like a photo.
func photo(width, height int) *image.RGBA {
	random := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			u, v := float64(x)/float64(width), float64(y)/float64(height)
			light := 110 + 60*math.Sin(7*u+3*v*v) + 40*math.Sin(23*u*v+5*v)
			if math.Hypot(u-0.6, v-0.45) < 0.2 {
				light = 200 - 300*math.Hypot(u-0.55, v-0.4) + 20*math.Sin(160*u)
			}
			noise := random.NormFloat64() * 4
			img.SetRGBA(x, y, color.RGBA{level(light + noise), level(light*0.8 + 40*v + noise), level(180 - light/2 + 30*u + noise), 255})
		}
	}
	return img
}

func level(v float64) uint8 { return uint8(min(max(v, 0), 255)) }

// decodedPhoto returns a photo as the library decodes it.
func decodedPhoto(b *testing.B) image.Image {
	var file bytes.Buffer
	require.NoError(b, png.Encode(&file, photo(1024, 1024)))
	img, err := png.Decode(&file)
	require.NoError(b, err)
	return img
}

func BenchmarkRender_WebP1200x630(b *testing.B) {
	img := decodedPhoto(b)
	s, err := render.ParseSpec("webp-1200x630-cover")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err := render.Render(img, s)
		require.NoError(b, err)
	}
}

func BenchmarkRender_FaviconSet(b *testing.B) {
	img := decodedPhoto(b)
	files, err := render.Favicon.Files("", "", "")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		source := render.NewSource(img)
		for _, f := range files {
			_, err := source.Render(f.Spec)
			require.NoError(b, err)
		}
	}
}

func BenchmarkRender_Transparent(b *testing.B) {
	img := drawing(1024, white)
	b.ReportAllocs()
	for b.Loop() {
		_, err := render.Render(img, render.Spec{Format: render.PNG, Background: render.Transparent})
		require.NoError(b, err)
	}
}
