package pixels_test

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources/pixels"
)

// Data after the last row of pixels is not decompressed.
func TestShrinkPNG_DataAfterLastRow(t *testing.T) {
	t.Parallel()
	const width, height, extra = 16, 16, 8 << 20
	var rows bytes.Buffer
	z := zlib.NewWriter(&rows)
	_, _ = z.Write(make([]byte, height*(1+3*width)))
	_, _ = io.CopyN(z, rand.NewChaCha8([32]byte{}), extra)
	require.NoError(t, z.Close())
	file := append(testrig.PNGHeader(width, height, testrig.RGB), testrig.PNGChunk("IDAT", rows.Bytes())...)
	file = append(file, testrig.PNGChunk("IEND", nil)...)
	r := bytes.NewReader(file)
	_, err := pixels.ShrinkPNG(r, 512)
	require.ErrorContains(t, err, "data after the last row")
	assert.Greater(t, r.Len(), extra/2, "the rest is not read")
}

// rgbPNG returns an 8-bit RGB PNG.
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

// Shrinking row by row returns exactly the pixels that decoding and then shrinking
// returns.
func TestShrinkPNG_SameAsDecoder(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{1, 1}, {3, 2}, {511, 512}, {513, 20}, {1024, 1024}, {1344, 768}, {1600, 900}, {2048, 600}, {17, 1999}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			t.Parallel()
			for _, level := range []png.CompressionLevel{png.NoCompression, png.BestSpeed, png.DefaultCompression} {
				file := rgbPNG(t, size[0], size[1], level)
				full, err := png.Decode(bytes.NewReader(file))
				require.NoError(t, err)
				want := pixels.Shrink(full, 512).(*image.RGBA)
				img, err := pixels.ShrinkPNG(bytes.NewReader(file), 512)
				require.NoError(t, err)
				got := img.(*image.RGBA)
				assert.Equal(t, want.Rect, got.Rect)
				assert.True(t, bytes.Equal(want.Pix, got.Pix), "level %d", level)
			}
		})
	}
}

// Unsupported variants of PNG fail with ErrUnsupported, so that the standard
// library decodes them.
func TestShrinkPNG_Unsupported(t *testing.T) {
	t.Parallel()
	for name, img := range map[string]image.Image{
		"gray": image.NewGray(image.Rect(0, 0, 9, 9)), "alpha": image.NewNRGBA(image.Rect(0, 0, 9, 9)),
		"palette": image.NewPaletted(image.Rect(0, 0, 9, 9), color.Palette{color.Black}), "deep": image.NewRGBA64(image.Rect(0, 0, 9, 9)),
	} {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, img))
		_, err := pixels.ShrinkPNG(bytes.NewReader(b.Bytes()), 512)
		require.ErrorIs(t, err, pixels.ErrUnsupported, name)
		if name != "alpha" {
			_, err = pixels.DecodePNG(&b)
			require.ErrorIs(t, err, pixels.ErrUnsupported, name)
		}
	}
}

// BenchmarkShrinkPNG compares ShrinkPNG with decoding by the standard library, with and
// without Shrink.
func BenchmarkShrinkPNG(b *testing.B) {
	for _, size := range []int{1024, 2048} {
		file := testrig.PNGPhoto(b, size, size)
		b.Run(fmt.Sprintf("%d/own", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := pixels.ShrinkPNG(bytes.NewReader(file), 512)
				require.NoError(b, err)
			}
		})
		b.Run(fmt.Sprintf("%d/standard", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				full, err := png.Decode(bytes.NewReader(file))
				require.NoError(b, err)
				pixels.Shrink(full, 512)
			}
		})
		b.Run(fmt.Sprintf("%d/decode", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := png.Decode(bytes.NewReader(file))
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkDecodePNG compares DecodePNG with the standard library.
func BenchmarkDecodePNG(b *testing.B) {
	for _, size := range []int{1024, 2048} {
		file := testrig.PNGPhoto(b, size, size)
		for name, decode := range map[string]func(io.Reader) (image.Image, error){"own": pixels.DecodePNG, "standard": png.Decode} {
			b.Run(fmt.Sprintf("%d/%s", size, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, err := decode(bytes.NewReader(file))
					require.NoError(b, err)
				}
			})
		}
	}
}
