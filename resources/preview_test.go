package resources_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/pixels"
)

// Previews have the proportions of their image and stay within the limits.
func TestPreview_Dimensions(t *testing.T) {
	t.Parallel()
	start := time.Now()
	l := openWith(t, libraryOptions{Now: func() time.Time { return start }}) // decoding may take long here
	for _, tt := range []struct{ width, height, wantWidth, wantHeight int }{
		{1024, 1024, 512, 512}, {2048, 2048, 512, 512}, {1344, 768, 512, 293}, {720, 1440, 256, 512}, {512, 512, 512, 512},
		{200, 100, 200, 100}, {1280, 1280, 512, 512}, {1728, 960, 512, 284}, {1025, 513, 512, 256}, {2048, 16, 512, 4}, {3000, 1, 512, 1},
	} {
		plain := image.NewRGBA(image.Rect(0, 0, tt.width, tt.height))
		var asPNG, asJPEG bytes.Buffer
		require.NoError(t, png.Encode(&asPNG, plain))
		require.NoError(t, jpeg.Encode(&asJPEG, plain, nil))
		for mime, file := range map[string][]byte{"image/png": asPNG.Bytes(), "image/jpeg": asJPEG.Bytes()} {
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

// Each pixel of a preview is close to the mean of the area that it represents.
func TestPreview_Colors(t *testing.T) {
	t.Parallel()
	const width, height = 704, 512
	full := testrig.Photo(width, height)
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
		"jpeg":  {"image/jpeg", testrig.JPEGPhoto(t, width, height), full},
	} {
		l := open(t, t.TempDir())
		b, err := l.Preview(t.Context(), saveFile(t, l, tt.mime, ".x", tt.file, width, height))
		require.NoError(t, err, name)
		small, err := jpeg.Decode(bytes.NewReader(b))
		require.NoError(t, err)
		assert.Less(t, meanError(small, tt.like), 6.0, "%s: mean error on a scale of 255", name)
	}
}

// meanError compares the channels of a small image with the means of a large one.
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

// Transparent pixels become white, an animation has a preview, and files that are not
// images fail with ErrCorrupt.
func TestPreview_UnusualFiles(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	clear := image.NewNRGBA(image.Rect(0, 0, 600, 600)) // all transparent
	var transparent, animated bytes.Buffer
	require.NoError(t, png.Encode(&transparent, clear))
	require.NoError(t, gif.Encode(&animated, testrig.Photo(600, 400), nil))
	b, err := l.Preview(t.Context(), saveFile(t, l, "image/png", ".png", transparent.Bytes(), 600, 600))
	require.NoError(t, err)
	img, err := jpeg.Decode(bytes.NewReader(b))
	require.NoError(t, err)
	r, _, _, _ := img.At(100, 100).RGBA()
	assert.Greater(t, r, uint32(0xf000), "transparent pixels become white")
	_, err = l.Preview(t.Context(), saveFile(t, l, "image/gif", ".gif", animated.Bytes(), 600, 400))
	require.NoError(t, err)
	for _, broken := range [][]byte{nil, []byte("no image"), testrig.PNGPhoto(t, 64, 64)[:200]} {
		_, err = l.Preview(t.Context(), saveFile(t, l, "image/png", ".png", broken, 64, 64))
		require.ErrorIs(t, err, resources.ErrCorrupt)
	}
	_, err = l.Preview(t.Context(), saveFile(t, l, "image/svg+xml", ".svg", []byte("<svg/>"), 64, 64))
	require.Error(t, err)
}

// Images of every chroma subsampling ratio are scaled correctly.
func TestShrink_Subsampling(t *testing.T) {
	t.Parallel()
	full := testrig.Photo(1030, 770) // odd in both directions
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
		small := pixels.Shrink(ycc, 512)
		assert.Equal(t, image.Rect(0, 0, 512, 383), small.Bounds())
		assert.Less(t, meanError(small, full), 7.0, ratio)
		part := ycc.SubImage(image.Rect(16, 16, 1016, 756))
		assert.Equal(t, image.Rect(0, 0, 512, 379), pixels.Shrink(part, 512).Bounds())
	}
}

// A preview is made once and read from its file afterwards.
func TestPreview_Stored(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	i := saveFile(t, l, "image/png", ".png", testrig.PNGPhoto(t, 800, 600), 800, 600)
	first, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	kept, err := filepath.Glob(filepath.Join(folder, ".previews", "*", "*", "*", "*.jpg"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.NoError(t, os.Remove(l.Path(i)))
	again, err := l.Preview(t.Context(), i)
	require.NoError(t, err, "the stored preview is used")
	assert.Equal(t, first, again)
	require.NoError(t, os.WriteFile(kept[0], []byte("<html>"), 0o600))
	_, err = l.Preview(t.Context(), i)
	require.Error(t, err, "a stored file that is not a JPEG is not used")
}

// A caller whose context ends returns at once, and other callers still get the
// preview.
func TestPreview_ContextCancelled(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	i := saveFile(t, l, "image/png", ".png", testrig.PNGPhoto(t, 800, 600), 800, 600)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Preview(ctx, i)
	require.ErrorIs(t, err, context.Canceled)
	_, err = l.Preview(t.Context(), i)
	require.NoError(t, err)
}

// A re-encoded image is within the limit, at full size if possible.
func TestReencode(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	i := saveFile(t, l, "image/png", ".png", testrig.PNGPhoto(t, 640, 480), 640, 480)
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
		{"PNG", "image/png", testrig.PNGPhoto(b, 1024, 1024), func(r *bytes.Reader) (image.Image, error) { return png.Decode(r) }},
		{"JPEG", "image/jpeg", testrig.JPEGPhoto(b, 1024, 1024), func(r *bytes.Reader) (image.Image, error) { return jpeg.Decode(r) }},
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
				_, err := l.Preview(b.Context(), i)
				require.NoError(b, err)
				require.NoError(b, os.RemoveAll(filepath.Join(l.StoreName(), ".previews")))
			}
		})
	}
}

// A JPEG copy of a small image keeps its size.
func TestReencode_SmallImage(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	for _, side := range []int{1, 40, 63} {
		i := saveFile(t, l, "image/png", ".png", encodePNG(t, disc(side)), side, side)
		b, err := l.Reencode(t.Context(), i, 20_000)
		require.NoError(t, err, side)
		config, err := jpeg.DecodeConfig(bytes.NewReader(b))
		require.NoError(t, err)
		assert.Equal(t, [2]int{side, side}, [2]int{config.Width, config.Height})
		_, err = l.Reencode(t.Context(), i, 100)
		require.Error(t, err, "it does not fit at any size")
	}
}

// The preview of an image that is removed meanwhile is not stored.
func TestPreview_RemovedMeanwhile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	i := saveFile(t, l, "image/png", ".png", testrig.PNGPhoto(t, 64, 48), 64, 48)
	file, err := os.ReadFile(l.Path(i))
	require.NoError(t, err)
	require.NoError(t, l.Remove(t.Context(), "local", i.ID))
	require.NoError(t, os.WriteFile(l.Path(i), file, 0o600)) // as if the decoder had opened it before
	_, err = l.Preview(t.Context(), i)
	require.NoError(t, err)
	kept, err := filepath.Glob(filepath.Join(folder, ".previews", "*", "*", "*", "*.jpg"))
	require.NoError(t, err)
	assert.Empty(t, kept)
}

// Previews are stored even after their folder was deleted.
func TestPreview_FolderDeleted(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	for _, prompt := range []string{"first", "second"} {
		i := save(t, l, prompt, testrig.PNGPhoto(t, 64, 48))
		_, err := l.Preview(t.Context(), i)
		require.NoError(t, err)
		kept, err := filepath.Glob(filepath.Join(folder, ".previews", "*", "*", "*", prompt+"*.jpg"))
		require.NoError(t, err)
		require.Len(t, kept, 1, prompt)
		require.NoError(t, os.RemoveAll(filepath.Join(folder, ".previews")))
	}
}

// SweepPreviews deletes previews without an image and keeps the others.
func TestSweepPreviews(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	deleted, err := l.SweepPreviews(t.Context())
	require.NoError(t, err)
	assert.Zero(t, deleted, "there are none yet")
	i := save(t, l, "kept", testrig.PNGPhoto(t, 64, 48))
	preview, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	day := filepath.Join(folder, ".previews", filepath.Dir(filepath.FromSlash(i.Path)))
	id, err := l.NewID()
	require.NoError(t, err)
	orphan := filepath.Join(day, "my-secret-plan-"+id+".jpg")
	require.NoError(t, os.WriteFile(orphan, preview, 0o600))
	deleted, err = l.SweepPreviews(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, deleted)
	left, err := os.ReadDir(day)
	require.NoError(t, err)
	assert.Len(t, left, 1)
	_, err = os.Stat(orphan)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
