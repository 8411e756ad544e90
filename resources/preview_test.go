package resources_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// photo is like a photograph for a codec: soft shapes with grain.
func photo(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	random := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			fx, fy := float64(x)/float64(width), float64(y)/float64(height)
			grain := random.NormFloat64() * 4
			at := func(phase float64) uint8 {
				v := 128 + 70*math.Sin(6*fx+phase)*math.Cos(5*fy-phase) + 40*math.Sin(31*fx*fy+phase) + grain
				return uint8(max(0, min(255, v)))
			}
			img.SetRGBA(x, y, color.RGBA{at(0), at(1), at(2), 255})
		}
	}
	return img
}

func pngPhoto(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, photo(width, height)))
	return b.Bytes()
}

func jpegPhoto(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, photo(width, height), &jpeg.Options{Quality: 85}))
	return b.Bytes()
}

func saveFile(t testing.TB, l *resources.Library, mime, extension string, file []byte, width, height int) resources.Image {
	t.Helper()
	i, err := l.Save(t.Context(), reserve(t, l, "x"), resources.Content{
		Reader: bytes.NewReader(file), MIMEType: mime, Extension: extension, Width: width, Height: height,
	})
	require.NoError(t, err)
	return i
}

func TestPreviewSizes(t *testing.T) {
	for _, tt := range []struct{ width, height, wantWidth, wantHeight int }{
		{1024, 1024, 512, 512}, {2048, 2048, 512, 512}, {1344, 768, 512, 293}, {720, 1440, 256, 512}, {512, 512, 512, 512},
		{200, 100, 200, 100}, {1280, 1280, 512, 512}, {1728, 960, 512, 284}, {1025, 513, 512, 256}, {2048, 16, 512, 4}, {3000, 1, 512, 1},
	} {
		plain := image.NewRGBA(image.Rect(0, 0, tt.width, tt.height))
		var asPNG, asJPEG bytes.Buffer
		require.NoError(t, png.Encode(&asPNG, plain))
		require.NoError(t, jpeg.Encode(&asJPEG, plain, nil))
		for mime, file := range map[string][]byte{"image/png": asPNG.Bytes(), "image/jpeg": asJPEG.Bytes()} {
			l := open(t, t.TempDir())
			i := saveFile(t, l, mime, ".x", file, tt.width, tt.height)
			b, err := l.Preview(t.Context(), i)
			require.NoError(t, err)
			assert.LessOrEqual(t, len(b), resources.PreviewBytes)
			config, err := jpeg.DecodeConfig(bytes.NewReader(b))
			require.NoError(t, err)
			assert.Equal(t, [2]int{tt.wantWidth, tt.wantHeight}, [2]int{config.Width, config.Height}, "%s %+v", mime, tt)
		}
	}
}

// A preview must look like its image: each of its pixels is compared with
// the mean of the area that it stands for.
func TestPreviewLooksRight(t *testing.T) {
	const width, height = 704, 512
	full := photo(width, height)
	gray := image.NewGray(full.Bounds())
	nrgba := image.NewNRGBA(full.Bounds())
	for y := range height {
		for x := range width {
			gray.Set(x, y, full.At(x, y))
			nrgba.Set(x, y, full.At(x, y))
		}
	}
	encodePNG := func(img image.Image) []byte {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, img))
		return b.Bytes()
	}
	for name, tt := range map[string]struct {
		mime string
		file []byte
		like image.Image
	}{
		"png":   {"image/png", encodePNG(full), full},
		"nrgba": {"image/png", encodePNG(nrgba), full},
		"gray":  {"image/png", encodePNG(gray), gray},
		"jpeg":  {"image/jpeg", jpegPhoto(t, width, height), full},
	} {
		l := open(t, t.TempDir())
		b, err := l.Preview(t.Context(), saveFile(t, l, tt.mime, ".x", tt.file, width, height))
		require.NoError(t, err, name)
		small, err := jpeg.Decode(bytes.NewReader(b))
		require.NoError(t, err)
		assert.Less(t, meanError(small, tt.like), 6.0, "%s: mean error of 255", name)
	}
}

// meanError compares channels of the small image with means of the large one.
func meanError(small, large image.Image) float64 {
	sb, lb := small.Bounds(), large.Bounds()
	sum, n := 0.0, 0
	for y := 4; y < sb.Dy()-4; y += 7 {
		for x := 4; x < sb.Dx()-4; x += 7 {
			var mean [3]float64
			count := 0.0
			for ly := y * lb.Dy() / sb.Dy(); ly < (y+1)*lb.Dy()/sb.Dy(); ly++ {
				for lx := x * lb.Dx() / sb.Dx(); lx < (x+1)*lb.Dx()/sb.Dx(); lx++ {
					r, g, b, _ := large.At(lx, ly).RGBA()
					mean[0], mean[1], mean[2] = mean[0]+float64(r>>8), mean[1]+float64(g>>8), mean[2]+float64(b>>8)
					count++
				}
			}
			r, g, b, _ := small.At(x, y).RGBA()
			for c, v := range []uint32{r >> 8, g >> 8, b >> 8} {
				sum += math.Abs(mean[c]/count - float64(v))
				n++
			}
		}
	}
	return sum / float64(n)
}

func TestPreviewsOfUnusualFiles(t *testing.T) {
	l := open(t, t.TempDir())
	clear := image.NewNRGBA(image.Rect(0, 0, 600, 600)) // all transparent
	var transparent, animated bytes.Buffer
	require.NoError(t, png.Encode(&transparent, clear))
	require.NoError(t, gif.Encode(&animated, photo(600, 400), nil))
	b, err := l.Preview(t.Context(), saveFile(t, l, "image/png", ".png", transparent.Bytes(), 600, 600))
	require.NoError(t, err)
	img, err := jpeg.Decode(bytes.NewReader(b))
	require.NoError(t, err)
	r, _, _, _ := img.At(100, 100).RGBA()
	assert.Greater(t, r, uint32(0xf000), "transparent turns white")
	_, err = l.Preview(t.Context(), saveFile(t, l, "image/gif", ".gif", animated.Bytes(), 600, 400))
	require.NoError(t, err)
	for _, broken := range [][]byte{nil, []byte("no image"), pngPhoto(t, 64, 64)[:200]} {
		_, err = l.Preview(t.Context(), saveFile(t, l, "image/png", ".png", broken, 64, 64))
		require.ErrorIs(t, err, resources.ErrCorrupt)
	}
	_, err = l.Preview(t.Context(), saveFile(t, l, "image/svg+xml", ".svg", []byte("<svg/>"), 64, 64))
	require.Error(t, err)
}

// A file of some hundred bytes can claim to unpack to a gigabyte.
func TestBombsAreNotDecoded(t *testing.T) {
	for name, colourType := range map[string]byte{"gray": 0, "RGB": 2} {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 9, 9))))
		file := b.Bytes()
		binary.BigEndian.PutUint32(file[16:], 30_000)
		binary.BigEndian.PutUint32(file[20:], 30_000)
		file[25] = colourType
		binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(file[12:29]))
		l := open(t, t.TempDir())
		_, err := l.Preview(t.Context(), saveFile(t, l, "image/png", ".png", file, 30_000, 30_000))
		require.ErrorIs(t, err, resources.ErrCorrupt, name)
		require.ErrorContains(t, err, "30000x30000 pixels are too many", name)
	}
}

// All ways in which JPEGs share colour between pixels.
func TestShrinkingEverySubsampling(t *testing.T) {
	full := photo(1030, 770) // odd in both directions
	for _, ratio := range []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	} {
		ycc := image.NewYCbCr(full.Bounds(), ratio)
		for y := range 770 {
			for x := range 1030 {
				c := full.RGBAAt(x, y)
				yy, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
				ycc.Y[ycc.YOffset(x, y)], ycc.Cb[ycc.COffset(x, y)], ycc.Cr[ycc.COffset(x, y)] = yy, cb, cr
			}
		}
		small := resources.Shrink(ycc, 512)
		assert.Equal(t, image.Rect(0, 0, 512, 383), small.Bounds())
		assert.Less(t, meanError(small, full), 7.0, ratio)
		part := ycc.SubImage(image.Rect(16, 16, 1016, 756))
		assert.Equal(t, image.Rect(0, 0, 512, 379), resources.Shrink(part, 512).Bounds())
	}
}

func TestPreviewIsMadeOnce(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	i := saveFile(t, l, "image/png", ".png", pngPhoto(t, 800, 600), 800, 600)
	first, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	kept, err := filepath.Glob(filepath.Join(folder, ".previews", "*", "*", "*", "*.jpg"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.NoError(t, os.Remove(l.Path(i)))
	again, err := l.Preview(t.Context(), i)
	require.NoError(t, err, "the kept one is enough")
	assert.Equal(t, first, again)
	require.NoError(t, os.WriteFile(kept[0], []byte("<html>"), 0o600))
	_, err = l.Preview(t.Context(), i)
	require.Error(t, err, "what is no JPEG is not handed out")
}

// A caller that leaves is answered at once and does not take the preview from
// the others.
func TestPreview_CallerLeaves(t *testing.T) {
	l := open(t, t.TempDir())
	i := saveFile(t, l, "image/png", ".png", pngPhoto(t, 800, 600), 800, 600)
	left, leave := context.WithCancel(t.Context())
	leave()
	_, err := l.Preview(left, i)
	require.ErrorIs(t, err, context.Canceled)
	_, err = l.Preview(t.Context(), i)
	require.NoError(t, err)
}

func TestReencode(t *testing.T) {
	l := open(t, t.TempDir())
	i := saveFile(t, l, "image/png", ".png", pngPhoto(t, 640, 480), 640, 480)
	for _, limit := range []int{1 << 20, 100_000, 30_000} {
		b, err := l.Reencode(t.Context(), i, limit)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(b), limit)
		config, err := jpeg.DecodeConfig(bytes.NewReader(b))
		require.NoError(t, err)
		if limit == 1<<20 {
			assert.Equal(t, 640, config.Width, "full size where it fits")
		}
	}
}

func BenchmarkPreview(b *testing.B) {
	for _, tt := range []struct {
		name, mime string
		file       []byte
		decode     func(*bytes.Reader) (image.Image, error)
	}{
		{"PNG", "image/png", pngPhoto(b, 1024, 1024), func(r *bytes.Reader) (image.Image, error) { return png.Decode(r) }},
		{"JPEG", "image/jpeg", jpegPhoto(b, 1024, 1024), func(r *bytes.Reader) (image.Image, error) { return jpeg.Decode(r) }},
	} {
		b.Run(tt.name+"/decode", func(b *testing.B) {
			for b.Loop() {
				_, err := tt.decode(bytes.NewReader(tt.file))
				require.NoError(b, err)
			}
		})
		b.Run(tt.name+"/preview", func(b *testing.B) {
			l := open(b, b.TempDir())
			i := saveFile(b, l, tt.mime, ".x", tt.file, 1024, 1024)
			for b.Loop() {
				_, err := l.MakePreview(b.Context(), i)
				require.NoError(b, err)
			}
		})
	}
}
