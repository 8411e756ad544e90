package render_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/render"
)

// disc is the subject of a drawing: an orange circle with a blue core, on nothing.
func disc(side int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	middle, radius := float64(side)/2, 0.3*float64(side)
	for y := range side {
		for x := range side {
			d := math.Hypot(float64(x)+0.5-middle, float64(y)+0.5-middle)
			c := color.NRGBA{220, 110, 20, level(255 * (radius - d + 0.5))}
			if d < radius/2 {
				c = color.NRGBA{20, 40, 180, 255}
			}
			img.Set(x, y, c)
		}
	}
	return img
}

// drawing returns the disc with an antialiased edge over a plain background.
func drawing(side int, background color.RGBA) *image.RGBA {
	img := plain(side, side, background)
	draw.Draw(img, img.Rect, disc(side), image.Point{}, draw.Over)
	return img
}

func over(img image.Image, background color.Color) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(dst, dst.Rect, image.NewUniform(background), image.Point{}, draw.Src)
	draw.Draw(dst, dst.Rect, img, img.Bounds().Min, draw.Over)
	return dst
}

// asJPEG returns an image with the noise of JPEG.
func asJPEG(t *testing.T, img image.Image, quality int) image.Image {
	var file bytes.Buffer
	require.NoError(t, jpeg.Encode(&file, img, &jpeg.Options{Quality: quality}))
	lossy, err := jpeg.Decode(&file)
	require.NoError(t, err)
	return lossy
}

// The cleared image over any color must look like the subject drawn on it.
func TestRender_TransparentComposites(t *testing.T) {
	const side = 240
	area := 1 - math.Pi*0.3*0.3
	for name, c := range map[string]struct {
		img         image.Image
		mean, worst float64
	}{
		"white":      {drawing(side, white), 0.05, 24},
		"cream":      {drawing(side, color.RGBA{242, 239, 230, 255}), 0.05, 24},
		"green":      {drawing(side, color.RGBA{0, 200, 60, 255}), 0.05, 24},
		"dark":       {drawing(side, color.RGBA{16, 16, 16, 255}), 0.05, 24},
		"white JPEG": {asJPEG(t, drawing(side, white), 90), 1.5, 255},
		"green JPEG": {asJPEG(t, drawing(side, color.RGBA{0, 200, 60, 255}), 90), 2.5, 255},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustRender(t, c.img, "png-transparent")
			assert.InDelta(t, area, r.Cleared, 0.02)
			got := decode(t, r.Data, render.PNG)
			for _, behind := range []color.Color{color.RGBA{200, 30, 160, 255}, color.RGBA{10, 30, 20, 255}} {
				want, have := over(disc(side), behind), over(got, behind)
				assert.Less(t, difference(want, have), c.mean)
				worst := 0.0
				for i := range want.Pix {
					worst = max(worst, math.Abs(float64(want.Pix[i])-float64(have.Pix[i])))
				}
				assert.LessOrEqual(t, worst, c.worst)
			}
		})
	}
}

// Compression leaves noise beside edges, which must not become specks around the subject.
func TestRender_TransparentRemovesNoise(t *testing.T) {
	const side = 240
	faint := drawing(side, white)
	for y := 10; y < 230; y += 9 {
		fill(faint, image.Rect(14, y, 17, y+2), color.RGBA{235, 240, 255, 255})
	}
	for name, img := range map[string]image.Image{
		"PNG": faint, "JPEG": asJPEG(t, drawing(side, color.RGBA{31, 181, 255, 255}), 75), "white JPEG": asJPEG(t, drawing(side, white), 75),
	} {
		t.Run(name, func(t *testing.T) {
			got := decode(t, mustRender(t, img, "png-transparent").Data, render.PNG)
			for y := range side {
				for x := range side {
					distance := math.Hypot(float64(x)+0.5-side/2, float64(y)+0.5-side/2) - 0.3*side
					r, g, b, a := got.At(x, y).RGBA()
					if distance > 6 {
						assert.Zero(t, a, "(%d, %d)", x, y)
					}
					assert.True(t, r+g+b == 0 || a>>8 > 15, "alpha %d at (%d, %d)", a>>8, x, y)
				}
			}
		})
	}
}

func TestRender_TransparentBeforeScaling(t *testing.T) {
	img := decode(t, mustRender(t, drawing(400, white), "png-40x40-cover-transparent").Data, render.PNG)
	want := decode(t, mustRender(t, disc(400), "png-40x40-cover").Data, render.PNG)
	behind := color.RGBA{200, 30, 160, 255}
	assert.Less(t, difference(over(want, behind), over(img, behind)), 0.2)
	for _, text := range []string{"ico-transparent", "webp-transparent", "png-32x64-contain-transparent"} {
		s, _ := render.ParseSpec(text)
		r := mustRender(t, drawing(100, white), text)
		assert.Positive(t, r.Cleared)
		assertColor(t, none, decode(t, r.Data, s.Format), 0, 0, 0)
	}
}

func TestRender_TransparentKeepsShadows(t *testing.T) {
	for _, background := range []color.RGBA{white, {40, 170, 220, 255}} {
		img := plain(200, 200, background)
		for y := range 200 {
			for x := range 200 {
				light := 1 - 0.6*math.Exp(-(math.Pow(float64(x-100)/45, 2)+math.Pow(float64(y-150)/16, 2)))
				img.SetRGBA(x, y, color.RGBA{level(float64(background.R) * light), level(float64(background.G) * light), level(float64(background.B) * light), 255})
			}
		}
		fill(img, image.Rect(70, 40, 130, 150), color.RGBA{180, 40, 60, 255})
		got := decode(t, mustRender(t, img, "png-transparent").Data, render.PNG)
		assertColor(t, color.RGBA{A: 150}, got, 100, 155, 24)
		assertColor(t, color.RGBA{180, 40, 60, 255}, got, 100, 145, 0)
		assertColor(t, none, got, 100, 195, 0)
		last := 255
		for y := 156; y < 200; y++ { // fades without a step
			_, _, _, a := got.At(100, y).RGBA()
			assert.InDelta(t, last, a>>8, 120.0/float64(y-155)+14)
			last = int(a >> 8)
		}
	}
}

func TestRender_TransparentJoinsNoiseInShadows(t *testing.T) {
	img := plain(200, 200, white)
	for y := range 200 {
		for x := range 200 {
			v := level(255 - 120*math.Exp(-(math.Pow(float64(x-100)/45, 2)+math.Pow(float64(y-100)/30, 2))))
			if x%20 == 0 && y%20 == 0 {
				v -= 25
			}
			img.SetRGBA(x, y, color.RGBA{v, v, v, 255})
		}
	}
	fill(img, image.Rect(90, 20, 110, 40), red)
	got := decode(t, mustRender(t, img, "png-transparent").Data, render.PNG)
	for y := 80; y < 120; y++ {
		for x := 60; x < 140; x++ {
			r, g, b, a := got.At(x, y).RGBA()
			assert.Zero(t, r+g+b, "(%d, %d)", x, y)
			assert.Less(t, a>>8, uint32(160))
		}
	}
}

// What has the color of the background but is enclosed by the subject belongs to it.
func TestRender_TransparentKeepsWhatIsEnclosed(t *testing.T) {
	img := drawing(200, white)
	fill(img, image.Rect(90, 90, 110, 110), white)
	got := decode(t, mustRender(t, img, "png-transparent").Data, render.PNG)
	assertColor(t, white, got, 100, 100, 0)
	assertColor(t, none, got, 5, 100, 0)
}

func TestRender_TransparentOfLighterMiddle(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 300, 300))
	for y := range 300 {
		for x := range 300 {
			v := level(250 - 34*math.Hypot(float64(x-150), float64(y-150))/212)
			img.SetRGBA(x, y, color.RGBA{v, v, v, 255})
		}
	}
	draw.Draw(img, img.Rect, disc(300), image.Point{}, draw.Over)
	r := mustRender(t, img, "png-transparent")
	assert.InDelta(t, 1-math.Pi*0.09, r.Cleared, 0.02)
}

func TestRender_TransparentAlready(t *testing.T) {
	img := disc(100)
	r := mustRender(t, img, "png-transparent")
	assert.Zero(t, r.Cleared)
	got := decode(t, r.Data, render.PNG)
	assert.Less(t, difference(img, got), 0.5)
}

func TestRender_TransparentRefuses(t *testing.T) {
	checkerboard := plain(256, 256, white)
	for y := 0; y < 256; y += 4 {
		for x := y % 8; x < 256; x += 8 {
			fill(checkerboard, image.Rect(x, y, x+4, y+4), color.RGBA{204, 204, 204, 255})
		}
	}
	draw.Draw(checkerboard, checkerboard.Rect, disc(256), image.Point{}, draw.Over)
	large := plain(256, 256, white)
	for y := 0; y < 256; y += 32 {
		for x := y % 64; x < 256; x += 64 {
			fill(large, image.Rect(x, y, x+32, y+32), color.RGBA{204, 204, 204, 255})
		}
	}
	speck := plain(100, 100, white)
	fill(speck, image.Rect(50, 50, 52, 52), red)
	corners := plain(400, 400, red)
	for _, at := range []image.Point{{0, 0}, {388, 0}, {0, 388}, {388, 388}} {
		fill(corners, image.Rectangle{Min: at, Max: at.Add(image.Pt(12, 12))}, white)
	}
	for name, img := range map[string]image.Image{
		"photo": photo(256, 256), "quadrants": quadrants(100, 100), "checkerboard": checkerboard, "large checkerboard": large, "one color": plain(64, 64, white),
		"hardly a subject": speck, "hardly a background": corners, "one pixel": plain(1, 1, red),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render.Render(img, render.Spec{Format: render.PNG, Background: render.Transparent})
			var spec *render.SpecError
			require.ErrorAs(t, err, &spec)
			assert.Contains(t, spec.Hint, "plain, single-color background")
		})
	}
}
