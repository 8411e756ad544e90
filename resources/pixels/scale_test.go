package pixels_test

import (
	"fmt"
	"image"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/resources/pixels"
)

// The four channels of a pixel, which are scaled at once, get the values that separate planes
// get.
func TestShrink_SameAsPlanes(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{100, 70}, {99, 70}, {64, 128}, {65, 131}, {200, 10}, {1, 90}, {301, 299}} {
		for _, limit := range []int{1, 7, 30, 49, 50, 64} {
			t.Run(fmt.Sprintf("%v to %d", size, limit), func(t *testing.T) {
				t.Parallel()
				colors := image.NewRGBA(image.Rectangle{Max: size})
				planes := image.NewYCbCr(colors.Rect, image.YCbCrSubsampleRatio444)
				_, _ = rand.NewChaCha8([32]byte{byte(limit)}).Read(colors.Pix)
				for i := range planes.Y {
					p := colors.Pix[4*i:]
					p[3] = 255
					if i%5 == 0 { // the extremes
						p[0], p[1], p[2] = 255, 255, 0
					}
					planes.Y[i], planes.Cb[i], planes.Cr[i] = p[0], p[1], p[2]
				}
				got, ok := pixels.Shrink(colors, limit).(*image.RGBA)
				want := pixels.Shrink(planes, limit).(*image.YCbCr)
				assert.True(t, ok)
				assert.Equal(t, want.Rect, got.Rect)
				for i := range want.Y {
					if [4]byte(got.Pix[4*i:]) != [4]byte{want.Y[i], want.Cb[i], want.Cr[i], 255} {
						t.Fatalf("pixel %d is %v instead of %d %d %d", i, got.Pix[4*i:4*i+4], want.Y[i], want.Cb[i], want.Cr[i])
					}
				}
			})
		}
	}
}
