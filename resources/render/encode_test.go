package render_test

import (
	"bytes"
	"image"
	"image/color"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/resources/render"
)

// Encoders that were tried fail on noise from 256 pixels on.
func TestRender_WebPOfNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, side := range []int{256, 257, 300, 600} {
		img := plain(side, side, white)
		for i := range img.Pix {
			if i%4 < 3 {
				img.Pix[i] = byte(64 + random.IntN(128))
			}
		}
		r := mustRender(t, img, "webp")
		assert.Equal(t, "VP8 ", string(r.Data[12:16]), "opaque images have no alpha chunk")
		assert.Less(t, difference(img, decode(t, r.Data, render.WebP)), 30.0)
	}
	smooth := photo(300, 200)
	assert.Less(t, difference(smooth, decode(t, mustRender(t, smooth, "webp").Data, render.WebP)), 8.0)
}

func TestRender_WebPWithAlpha(t *testing.T) {
	img := photo(400, 300)
	for y := range 300 {
		for x := range 400 {
			if c, a := img.RGBAAt(x, y), uint32(min(x, 255)); true {
				img.SetRGBA(x, y, color.RGBA{uint8(uint32(c.R) * a / 255), uint8(uint32(c.G) * a / 255), uint8(uint32(c.B) * a / 255), uint8(a)})
			}
		}
	}
	r := mustRender(t, img, "webp")
	assert.Contains(t, string(r.Data[:64]), "ALPH")
	assert.Less(t, len(r.Data), 40_000, "alpha is compressed")
	got := decode(t, r.Data, render.WebP)
	for x := range 400 {
		_, _, _, a := got.At(x, 150).RGBA()
		assert.Equal(t, min(x, 255), int(a>>8), "alpha is exact")
	}
	assert.Less(t, difference(img, got), 12.0)
}

func TestRender_IsDeterministic(t *testing.T) {
	img := photo(160, 120)
	fox := drawing(160, white)
	texts := []string{"png", "jpg", "webp", "ico", "png-50x70-cover", "jpg-50x70-contain", "webp-100x100-cover", "webp-300x200-contain"}
	var want []render.Result
	for _, text := range texts {
		want = append(want, mustRender(t, img, text))
	}
	cleared := mustRender(t, fox, "webp-transparent")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			source := render.NewSource(img)
			for i, text := range texts {
				s, _ := render.ParseSpec(text)
				got, err := source.Render(s)
				if assert.NoError(t, err) {
					assert.Equal(t, want[i], got, text)
				}
			}
			got, err := render.Render(fox, render.Spec{Format: render.WebP, Background: render.Transparent})
			if assert.NoError(t, err) {
				assert.Equal(t, cleared, got)
			}
		})
	}
	group.Wait()
}

// The bytes must not depend on the number of processors.
func TestRender_IsDeterministicOnAnyNumberOfProcessors(t *testing.T) {
	opaque, transparent := photo(400, 400), photo(400, 400)
	fill(transparent, image.Rect(0, 0, 100, 400), none)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, img := range []image.Image{opaque, transparent} {
		for _, text := range []string{"webp", "png", "jpg"} {
			runtime.GOMAXPROCS(1)
			want := mustRender(t, img, text).Data
			for _, processors := range []int{2, 8} {
				runtime.GOMAXPROCS(processors)
				assert.True(t, bytes.Equal(want, mustRender(t, img, text).Data), "%s on %d processors", text, processors)
			}
		}
	}
}
