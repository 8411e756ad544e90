package pixels_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources/pixels"
)

// requireSameJPEG requires the bytes of the standard library.
func requireSameJPEG(t testing.TB, img image.Image, quality int) {
	t.Helper()
	var want, got bytes.Buffer
	require.NoError(t, jpeg.Encode(&want, img, &jpeg.Options{Quality: quality}))
	require.NoError(t, pixels.EncodeJPEG(&got, img, quality))
	if !bytes.Equal(want.Bytes(), got.Bytes()) {
		t.Fatalf("%T with bounds %v and quality %d: other bytes", img, img.Bounds(), quality)
	}
}

// painters set all bytes of a plane.
func painters() []func(pix []byte, stride int) {
	random := rand.New(rand.NewPCG(1, 2))
	return []func([]byte, int){
		noise(random),
		func(pix []byte, _ int) { copy(pix, bytes.Repeat([]byte{byte(random.Uint32())}, len(pix))) },
		func(pix []byte, stride int) { fill(pix, func(i int) byte { return byte(i%stride + 3*i/stride) }) },
		func(pix []byte, _ int) { fill(pix, func(int) byte { return byte(100 + random.IntN(5)) }) },
		func(pix []byte, _ int) { fill(pix, func(int) byte { return byte(255 * random.IntN(2)) }) },
	}
}

func noise(random *rand.Rand) func([]byte, int) {
	return func(pix []byte, _ int) { fill(pix, func(int) byte { return byte(random.Uint32()) }) }
}

func fill(pix []byte, at func(int) byte) {
	for i := range pix {
		pix[i] = at(i)
	}
}

// newImages returns an RGBA image and YCbCr images of all subsamplings.
func newImages(r image.Rectangle, paint func(pix []byte, stride int)) []image.Image {
	rgba := image.NewRGBA(r)
	paint(rgba.Pix, rgba.Stride)
	images := []image.Image{rgba}
	for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
		img := image.NewYCbCr(r, ratio)
		paint(img.Y, img.YStride)
		paint(img.Cb, img.CStride)
		paint(img.Cr, img.CStride)
		images = append(images, img)
	}
	return images
}

func jpegQualities() []int { return []int{1, 10, 40, 60, 80, 92, 100} }

func TestEncodeJPEG_Sizes(t *testing.T) {
	t.Parallel()
	paint := painters()
	for width := 1; width <= 40; width++ {
		for height := 1; height <= 40; height++ {
			quality := jpegQualities()[(width+3*height)%7]
			for _, img := range newImages(image.Rect(0, 0, width, height), paint[(width+2*height)%len(paint)]) {
				requireSameJPEG(t, img, quality)
			}
		}
	}
}

func TestEncodeJPEG_Qualities(t *testing.T) {
	t.Parallel()
	for _, paint := range painters() {
		for _, img := range newImages(image.Rect(0, 0, 50, 40), paint) {
			for _, quality := range append(jpegQualities(), -1, 0, 49, 50, 51, 101, 1000) {
				requireSameJPEG(t, img, quality)
			}
		}
	}
}

// Parts of an image whose chroma is not aligned to pairs of pixels, and bounds that do not
// begin at zero.
func TestEncodeJPEG_SubImages(t *testing.T) {
	t.Parallel()
	type subImager interface {
		SubImage(r image.Rectangle) image.Image
	}
	paint := noise(rand.New(rand.NewPCG(3, 4)))
	for _, origin := range []image.Point{{}, {100, 50}, {7, 3}, {-20, -30}, {-21, -31}} {
		bounds := image.Rect(0, 0, 48, 44).Add(origin)
		for _, img := range newImages(bounds, paint) {
			requireSameJPEG(t, img, 92)
			for x := range 5 {
				for y := range 5 {
					r := image.Rect(x, y, 40+x%3, 39+y%3).Add(origin)
					requireSameJPEG(t, img.(subImager).SubImage(r), 92)
				}
			}
		}
	}
}

// Blocks of black and white with the largest coefficients of each frequency.
func TestEncodeJPEG_LargestCoefficients(t *testing.T) {
	t.Parallel()
	for u := range 8 {
		for v := range 8 {
			for _, white := range []byte{0, 255} {
				img := image.NewRGBA(image.Rect(0, 0, 32, 16)) // the second half is inverse
				for y := range 16 {
					for x := range 32 {
						wave := math.Cos(float64((2*x+1)*u)*math.Pi/16) * math.Cos(float64((2*y+1)*v)*math.Pi/16)
						level := white
						if wave < 0 != (x >= 16) {
							level = ^white
						}
						img.SetRGBA(x, y, color.RGBA{level, level, level, 255})
					}
				}
				requireSameJPEG(t, img, 100)
				requireSameJPEG(t, img, 1)
			}
		}
	}
}

// Both formulas of chroma exceed a byte for one color each.
func TestEncodeJPEG_Colors(t *testing.T) {
	t.Parallel()
	img := image.NewRGBA(image.Rect(0, 0, 256, 256))
	for side := range 6 { // of the cube of all colors
		for y := range 256 {
			for x := range 256 {
				c := [3]byte{byte(x), byte(y), byte(255 * (side % 2))}
				img.SetRGBA(x, y, color.RGBA{c[side/2], c[(side/2+1)%3], c[(side/2+2)%3], byte(x)})
			}
		}
		requireSameJPEG(t, img, 100)
	}
}

func TestEncodeJPEG_Photo(t *testing.T) {
	t.Parallel()
	photo := testrig.Photo(300, 200)
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, photo, nil))
	ycbcr, err := jpeg.Decode(&b)
	require.NoError(t, err)
	for _, quality := range jpegQualities() {
		requireSameJPEG(t, photo, quality)
		requireSameJPEG(t, ycbcr, quality)
	}
}

// Images that the encoder leaves to the standard library.
func TestEncodeJPEG_Unsupported(t *testing.T) {
	t.Parallel()
	photo := testrig.Photo(30, 20)
	for _, img := range []draw.Image{image.NewGray(photo.Rect), image.NewNRGBA(photo.Rect), image.NewRGBA64(photo.Rect)} {
		draw.Draw(img, img.Bounds(), photo, image.Point{}, draw.Src)
		requireSameJPEG(t, img, 80)
	}
	requireSameJPEG(t, image.NewRGBA(image.Rectangle{}), 80)
	requireSameJPEG(t, &image.YCbCr{Rect: image.Rectangle{Min: image.Pt(40, 40)}}, 80) // negative size
	for _, size := range []image.Point{{1 << 16, 1}, {1, 1 << 16}} {
		for _, img := range newImages(image.Rectangle{Max: size}, func([]byte, int) {}) {
			require.ErrorContains(t, pixels.EncodeJPEG(io.Discard, img, 80), "too large")
		}
	}
	requireSameJPEG(t, image.NewRGBA(image.Rect(0, 0, 1<<16-1, 1)), 80)
}

// failingWriter fails at a write.
type failingWriter struct{ writes, failAt int }

var errFull = errors.New("disk full")

func (w *failingWriter) Write(b []byte) (int, error) {
	w.writes++
	if w.writes == w.failAt {
		return 0, errFull
	}
	return len(b), nil
}

func TestEncodeJPEG_WriteError(t *testing.T) {
	t.Parallel()
	img := newImages(image.Rect(0, 0, 300, 200), noise(rand.New(rand.NewPCG(5, 6))))[0]
	var all failingWriter
	require.NoError(t, pixels.EncodeJPEG(&all, img, 100))
	require.Greater(t, all.writes, 2)
	for failAt := 1; failAt <= all.writes; failAt++ {
		w := failingWriter{failAt: failAt}
		require.ErrorIs(t, pixels.EncodeJPEG(&w, img, 100), errFull)
		assert.Equal(t, failAt, w.writes, "it stops at the error")
	}
}

// Division by multiplication is exact for all coefficients and quantization steps.
func TestEncodeJPEG_Division(t *testing.T) {
	t.Parallel()
	const most = 1 << 14 // twice the largest coefficient
	for step := 1; step <= 255; step++ {
		for first := -most; first <= most; first += 64 {
			var coefs [64]int32
			for i := range coefs {
				coefs[i] = int32(first + i)
			}
			quotients, nonzero := pixels.JPEGDivide(coefs, byte(step))
			for i, v := range coefs {
				half := int32(4 * step)
				want := (max(v, -v) + half) / (2 * half)
				if v < 0 {
					want = -want
				}
				if quotients[i] != want || i > 0 && nonzero>>i&1 == 1 != (want != 0) {
					t.Fatalf("%d divided by 8*%d is %d instead of %d", v, step, quotients[i], want)
				}
			}
		}
	}
}

func FuzzEncodeJPEG(f *testing.F) {
	photo := testrig.Photo(8, 8)
	for _, quality := range jpegQualities() {
		f.Add(photo.Pix, byte(20), byte(17), byte(1), int8(quality))
	}
	f.Add([]byte{0, 255, 255}, byte(64), byte(40), byte(0), int8(100))
	f.Fuzz(func(t *testing.T, pix []byte, width, height, origin byte, quality int8) {
		if len(pix) == 0 {
			return
		}
		paint := func(out []byte, _ int) { fill(out, func(i int) byte { return pix[i%len(pix)] }) }
		r := image.Rect(0, 0, int(width%64), int(height%64)).Add(image.Pt(int(origin%16), int(origin/16)))
		for _, img := range newImages(r, paint) {
			requireSameJPEG(t, img, int(quality))
		}
	})
}

// BenchmarkEncodeJPEG compares the encoder with that of the standard library for previews.
func BenchmarkEncodeJPEG(b *testing.B) {
	photo := testrig.Photo(512, 512)
	var file bytes.Buffer
	require.NoError(b, jpeg.Encode(&file, photo, &jpeg.Options{Quality: 100}))
	ycbcr, err := jpeg.Decode(&file)
	require.NoError(b, err)
	const quality = 80
	for _, img := range []image.Image{photo, ycbcr} {
		b.Run(fmt.Sprintf("%T/own", img), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, pixels.EncodeJPEG(io.Discard, img, quality))
			}
		})
		b.Run(fmt.Sprintf("%T/standard", img), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, jpeg.Encode(io.Discard, img, &jpeg.Options{Quality: quality}))
			}
		})
	}
}
