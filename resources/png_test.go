package resources_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

func rgbPNG(t testing.TB, width, height int, level png.CompressionLevel) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i / 7)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: level}
	require.NoError(t, encoder.Encode(&b, img))
	return b.Bytes()
}

// The row by row way gives exactly what decoding and shrinking give.
func TestShrinkPNGIsTheSame(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {3, 2}, {511, 512}, {513, 20}, {1024, 1024}, {1344, 768}, {1600, 900}, {2048, 2048}, {17, 1999}} {
		for _, level := range []png.CompressionLevel{png.NoCompression, png.BestSpeed, png.DefaultCompression} {
			file := rgbPNG(t, size[0], size[1], level)
			full, err := png.Decode(bytes.NewReader(file))
			require.NoError(t, err)
			want := resources.Shrink(full, 512).(*image.RGBA)
			img, err := resources.ShrinkPNG(bytes.NewReader(file), 512)
			require.NoError(t, err)
			got := img.(*image.RGBA)
			assert.Equal(t, want.Rect, got.Rect)
			assert.True(t, bytes.Equal(want.Pix, got.Pix), "%v", size)
		}
	}
}

func TestOtherPNGsAreNotPlain(t *testing.T) {
	for name, img := range map[string]image.Image{
		"gray": image.NewGray(image.Rect(0, 0, 9, 9)), "alpha": image.NewNRGBA(image.Rect(0, 0, 9, 9)),
		"palette": image.NewPaletted(image.Rect(0, 0, 9, 9), color.Palette{color.Black}), "deep": image.NewRGBA64(image.Rect(0, 0, 9, 9)),
	} {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, img))
		_, err := resources.ShrinkPNG(&b, 512)
		require.ErrorIs(t, err, resources.ErrUnsupportedPNG, name)
	}
}

func TestDamagedPNGs(t *testing.T) {
	file := rgbPNG(t, 60, 50, png.DefaultCompression)
	for n := range len(file) - 16 { // what is behind the pixels holds nothing
		_, err := resources.ShrinkPNG(bytes.NewReader(file[:n]), 512)
		require.Error(t, err, "cut at %d", n)
	}
}

// What both ways accept looks the same in both.
func FuzzShrinkPNG(f *testing.F) {
	f.Add(rgbPNG(f, 9, 7, png.DefaultCompression), uint8(4))
	f.Add(rgbPNG(f, 30, 20, png.NoCompression), uint8(7))
	f.Add(rgbPNG(f, 5, 40, png.BestSpeed), uint8(1))
	f.Fuzz(func(t *testing.T, file []byte, limit uint8) {
		config, err := png.DecodeConfig(bytes.NewReader(file))
		if err != nil || config.Width*config.Height > 1<<20 || limit == 0 {
			return
		}
		img, err := resources.ShrinkPNG(bytes.NewReader(file), int(limit))
		if errors.Is(err, resources.ErrUnsupportedPNG) {
			return
		}
		full, wantErr := png.Decode(bytes.NewReader(file))
		if wantErr != nil {
			return // the standard library also checks the chunks' own checksums
		}
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		want, got := resources.Shrink(full, int(limit)).(*image.RGBA), img.(*image.RGBA)
		if want.Rect != got.Rect || !bytes.Equal(want.Pix, got.Pix) {
			t.Fatal("another image")
		}
	})
}
