package render_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/draw"
	"golang.org/x/image/webp"

	"zai-image-mcp/resources/render"
)

var (
	red   = color.RGBA{200, 0, 0, 255}
	green = color.RGBA{0, 160, 0, 255}
	blue  = color.RGBA{0, 0, 220, 255}
	white = color.RGBA{255, 255, 255, 255}
	none  = color.RGBA{}
)

// plain returns an image of one color.
func plain(width, height int, c color.RGBA) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	fill(img, img.Rect, c)
	return img
}

func fill(img *image.RGBA, r image.Rectangle, c color.RGBA) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			img.SetRGBA(x, y, c)
		}
	}
}

// quadrants returns an image whose quarters are red, green, blue and white.
func quadrants(width, height int) *image.RGBA {
	img := plain(width, height, white)
	fill(img, image.Rect(0, 0, width/2, height/2), red)
	fill(img, image.Rect(width/2, 0, width, height/2), green)
	fill(img, image.Rect(0, height/2, width/2, height), blue)
	return img
}

func mustRender(t testing.TB, img image.Image, text string) render.Result {
	t.Helper()
	s, err := render.ParseSpec(text)
	require.NoError(t, err)
	r, err := render.Render(img, s)
	require.NoError(t, err)
	return r
}

// decode decodes a file of any format, and the largest image of an ICO file.
func decode(t testing.TB, file []byte, f render.Format) image.Image {
	t.Helper()
	var img image.Image
	var err error
	switch f {
	case render.PNG:
		img, err = png.Decode(bytes.NewReader(file))
	case render.JPEG:
		img, err = jpeg.Decode(bytes.NewReader(file))
	case render.WebP:
		img, err = webp.Decode(bytes.NewReader(file))
	default:
		entries := icoEntries(t, file)
		return entries[len(entries)-1]
	}
	require.NoError(t, err)
	return img
}

// icoEntries decodes an ICO file.
func icoEntries(t testing.TB, file []byte) (images []image.Image) {
	t.Helper()
	require.Equal(t, []byte{0, 0, 1, 0}, file[:4])
	count := int(binary.LittleEndian.Uint16(file[4:]))
	end := 6 + 16*count
	for entry := range count {
		e := file[6+16*entry:][:16]
		require.Equal(t, end, int(binary.LittleEndian.Uint32(e[12:])))
		end += int(binary.LittleEndian.Uint32(e[8:]))
		data := file[binary.LittleEndian.Uint32(e[12:]):end]
		const rgba = 6
		assert.Equal(t, byte(rgba), data[25], "color type")
		img, err := png.Decode(bytes.NewReader(data))
		require.NoError(t, err)
		assert.Equal(t, image.Pt(int(e[0]-1)+1, int(e[1]-1)+1), img.Bounds().Size())
		images = append(images, img)
	}
	require.Len(t, file, end)
	return images
}

// assertColor compares the channels of a pixel, which are premultiplied.
func assertColor(t testing.TB, want color.RGBA, img image.Image, x, y, tolerance int) {
	t.Helper()
	got := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
	for _, c := range [4][2]uint8{{want.R, got.R}, {want.G, got.G}, {want.B, got.B}, {want.A, got.A}} {
		assert.InDelta(t, c[0], c[1], float64(tolerance), "pixel (%d, %d): %v, want %v", x, y, got, want)
	}
}

func TestRender_SizeAndFormat(t *testing.T) {
	for _, c := range []struct {
		text          string
		width, height int
		enlarged      bool
	}{
		{"png", 60, 40, false}, {"jpg", 60, 40, false}, {"webp", 60, 40, false}, {"ico", 48, 48, true},
		{"png-30x20-cover", 30, 20, false}, {"jpg-7x13-contain", 7, 13, false}, {"webp-61x40-cover", 61, 40, true},
		{"png-120x10-contain", 120, 10, false}, {"webp-64x64-contain", 64, 64, true}, {"ico-32x32-cover", 32, 32, false},
		{"ico-256x256-contain", 256, 256, true}, {"png-1x1-cover", 1, 1, false}, {"jpg-90x60-cover-112233", 90, 60, true},
	} {
		t.Run(c.text, func(t *testing.T) {
			r := mustRender(t, quadrants(60, 40), c.text)
			s, _ := render.ParseSpec(c.text)
			assert.Equal(t, image.Pt(c.width, c.height), decode(t, r.Data, s.Format).Bounds().Size())
			assert.Equal(t, image.Pt(c.width, c.height), image.Pt(r.Width, r.Height))
			assert.Equal(t, c.enlarged, r.Enlarged)
			assert.Zero(t, r.Cleared)
		})
	}
}

func TestRender_Pixels(t *testing.T) {
	for _, f := range []render.Format{render.PNG, render.JPEG, render.WebP, render.ICO} {
		tolerance := map[render.Format]int{render.JPEG: 8, render.WebP: 26}[f] // x/image/webp decodes with the colors of JPEG
		t.Run(string(f), func(t *testing.T) {
			img := decode(t, mustRender(t, quadrants(256, 256), string(f)+"-64x64-cover").Data, f)
			for at, c := range map[image.Point]color.RGBA{{8, 8}: red, {56, 8}: green, {8, 56}: blue, {56, 56}: white} {
				assertColor(t, c, img, at.X, at.Y, tolerance)
			}
		})
	}
	entries := icoEntries(t, mustRender(t, quadrants(100, 100), "ico").Data)
	require.Len(t, entries, 3)
	for i, side := range []int{16, 32, 48} {
		assert.Equal(t, image.Pt(side, side), entries[i].Bounds().Size())
		assertColor(t, blue, entries[i], side/4, side*3/4, 0)
	}
}

func TestRender_ContainPads(t *testing.T) {
	for text, pad := range map[string]color.RGBA{
		"png-100x100-contain": none, "png-100x100-contain-0000dc": blue, "jpg-100x100-contain": white, "jpg-100x100-contain-00a000": green,
		"png-100x100-contain-transparent": none, "webp-100x100-contain": none,
	} {
		t.Run(text, func(t *testing.T) {
			s, _ := render.ParseSpec(text)
			src := plain(200, 100, red)
			if s.Background == render.Transparent {
				fill(src, src.Rect, white)
				fill(src, image.Rect(20, 20, 180, 80), red)
			}
			img := decode(t, mustRender(t, src, text).Data, s.Format)
			assertColor(t, red, img, 50, 50, 26)
			assertColor(t, red, img, 12, 40, 26)
			for _, at := range []image.Point{{50, 4}, {50, 96}, {0, 0}, {99, 99}} {
				assertColor(t, pad, img, at.X, at.Y, 3)
			}
		})
	}
}

func TestRender_CoverKeepsTheDetail(t *testing.T) {
	stripes := func(r image.Rectangle) *image.RGBA {
		img := plain(400, 400, white)
		for x := r.Min.X; x < r.Max.X; x += 8 {
			fill(img, image.Rect(x, r.Min.Y, x+4, r.Max.Y), red)
		}
		fill(img, image.Rect(0, 0, 400, 40), blue) // marks the edges
		fill(img, image.Rect(0, 360, 400, 400), green)
		return img
	}
	top := decode(t, mustRender(t, stripes(image.Rect(40, 60, 360, 160)), "png-400x200-cover").Data, render.PNG)
	assertColor(t, blue, top, 200, 2, 0)
	assertColor(t, white, top, 200, 198, 0)
	bottom := decode(t, mustRender(t, stripes(image.Rect(40, 240, 360, 340)), "png-400x200-cover").Data, render.PNG)
	assertColor(t, green, bottom, 200, 198, 0)
	assertColor(t, white, bottom, 200, 2, 0)
	for _, img := range []*image.RGBA{quadrants(400, 400), plain(400, 400, red)} { // no part has more detail
		middle := decode(t, mustRender(t, img, "png-400x200-cover").Data, render.PNG)
		for y := range 200 {
			assert.Equal(t, img.At(1, y+100), color.RGBAModel.Convert(middle.At(1, y)))
		}
	}
	wide := plain(400, 100, white)
	for y := 20; y < 80; y += 4 {
		fill(wide, image.Rect(300, y, 340, y+2), blue)
	}
	right := decode(t, mustRender(t, wide, "png-100x100-cover").Data, render.PNG)
	assertColor(t, blue, right, 50, 21, 0) // the middle of the detail is in the middle
	assertColor(t, white, right, 15, 21, 0)
	assertColor(t, white, right, 85, 21, 0)
}

// A face has less detail than what is below it, but must not be cut off.
func TestRender_CoverIsNotBelowTheMiddle(t *testing.T) {
	img := plain(400, 400, white)
	fill(img, image.Rect(0, 100, 400, 400), blue) // marks the middle, which starts at 100
	draw.Draw(img, image.Rect(100, 80, 300, 280), disc(200), image.Point{}, draw.Over)
	for x := 100; x < 300; x += 16 {
		fill(img, image.Rect(x, 280, x+8, 400), red)
	}
	middle := decode(t, mustRender(t, img, "png-400x200-cover").Data, render.PNG)
	assertColor(t, blue, middle, 20, 0, 0)
	assertColor(t, red, middle, 101, 199, 0)
	assertColor(t, blue, middle, 101, 179, 0)
}

func TestRender_Flattens(t *testing.T) {
	half := plain(64, 64, color.RGBA{100, 0, 0, 128})
	for text, want := range map[string]color.RGBA{
		"png": {100, 0, 0, 128}, "jpg": {227, 127, 127, 255}, "png-0000ff": {100, 0, 127, 255}, "jpg-0000ff": {100, 0, 127, 255},
		"png-32x32-cover-0000ff": {100, 0, 127, 255}, "png-8x8-cover": {100, 0, 0, 128}, "webp": {100, 0, 0, 128}, "webp-0000ff": {100, 0, 127, 255},
	} {
		s, _ := render.ParseSpec(text)
		assertColor(t, want, decode(t, mustRender(t, half, text).Data, s.Format), 5, 5, 20)
	}
}

// Transparent pixels must not color their neighbors when an image is scaled.
func TestRender_IgnoresTheColorOfTransparentPixels(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 512, 512))
	for y := range 512 {
		for x := range 512 {
			img.SetNRGBA(x, y, color.NRGBA{0, 255, 0, 0})
			if x >= 250 {
				img.SetNRGBA(x, y, color.NRGBA{200, 0, 0, 255})
			}
		}
	}
	for _, text := range []string{"png-32x32-cover", "png-200x200-cover", "png-600x600-cover"} {
		small := decode(t, mustRender(t, img, text).Data, render.PNG)
		for x := range small.Bounds().Dx() {
			c := color.RGBAModel.Convert(small.At(x, 5)).(color.RGBA)
			assert.Zero(t, c.G, text)
			assert.InDelta(t, int(c.A)*200/255, c.R, 10, text)
		}
	}
}

func TestRender_SourceTypes(t *testing.T) {
	rgba := quadrants(128, 128)
	var file bytes.Buffer
	require.NoError(t, jpeg.Encode(&file, rgba, &jpeg.Options{Quality: 100}))
	ycc, err := jpeg.Decode(&file)
	require.NoError(t, err)
	paletted := image.NewPaletted(rgba.Rect, color.Palette{red, green, blue, white})
	deep, nrgba, shifted := image.NewNRGBA64(rgba.Rect), image.NewNRGBA(rgba.Rect), image.NewRGBA(image.Rect(-7, 9, 121, 137))
	for y := range 128 {
		for x := range 128 {
			paletted.Set(x, y, rgba.At(x, y))
			deep.Set(x, y, rgba.At(x, y))
			nrgba.Set(x, y, rgba.At(x, y))
			shifted.Set(x-7, y+9, rgba.At(x, y))
		}
	}
	for _, img := range []image.Image{rgba, ycc, paletted, deep, nrgba, shifted, rgba.SubImage(rgba.Rect)} {
		for _, text := range []string{"png", "png-32x32-cover", "png-100x100-cover"} {
			r := mustRender(t, img, text)
			got := decode(t, r.Data, render.PNG)
			n := r.Width / 4
			for at, c := range map[image.Point]color.RGBA{{n, n}: red, {3 * n, n}: green, {n, 3 * n}: blue, {3 * n, 3 * n}: white} {
				assertColor(t, c, got, at.X, at.Y, 3)
			}
		}
	}
	part := rgba.SubImage(image.Rect(64, 0, 128, 64))
	assertColor(t, green, decode(t, mustRender(t, part, "png").Data, render.PNG), 0, 63, 0)
}

func TestRender_ExtremeShapes(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {1, 4096}, {4096, 1}, {3, 2}, {2, 7}} {
		img := photo(size.X, size.Y)
		for _, text := range []string{
			"png", "jpg", "webp", "ico", "ico-contain", "png-1x1-cover", "png-1x1-contain", "png-16x16-contain", "webp-5x300-cover", "jpg-300x5-contain", "png-4096x1-cover", "png-1x4096-contain",
		} {
			s, _ := render.ParseSpec(text)
			r := mustRender(t, img, text)
			assert.Equal(t, image.Pt(r.Width, r.Height), decode(t, r.Data, s.Format).Bounds().Size(), "%v %s", size, text)
		}
	}
	for _, img := range []image.Image{image.NewRGBA(image.Rectangle{}), image.NewGray(image.Rect(0, 0, 4097, 1))} {
		_, err := render.Render(img, render.Spec{Format: render.PNG})
		var spec *render.SpecError
		require.ErrorAs(t, err, &spec)
		assert.NotEmpty(t, spec.Hint)
	}
	assert.Equal(t, 4096, mustRender(t, image.NewGray(image.Rect(0, 0, 5000, 2)), "png-4096x2-cover").Width)
}

func TestRender_ChecksTheSpec(t *testing.T) {
	for _, s := range []render.Spec{
		{}, {Format: "gif"}, {Format: render.PNG, Width: 5}, {Format: render.PNG, Width: 5, Height: 5000}, {Format: render.PNG, Width: -1, Height: -1},
		{Format: render.JPEG, Background: render.Transparent}, {Format: render.PNG, Background: "#FFF"}, {Format: render.PNG, Background: "x"},
		{Format: render.ICO, Width: 300, Height: 300}, {Format: render.PNG, Fit: render.Contain}, {Format: render.PNG, Width: 5, Height: 5, Fit: "fill"},
	} {
		_, err := render.Render(plain(8, 8, red), s)
		var spec *render.SpecError
		require.ErrorAs(t, err, &spec, "%+v", s)
	}
	r, err := render.Render(plain(8, 8, red), render.Spec{Format: render.PNG, Width: 4, Height: 2}) // Fit "" is Cover
	require.NoError(t, err)
	assert.Equal(t, mustRender(t, plain(8, 8, red), "png-4x2-cover"), r)
}

// difference returns the mean difference of premultiplied channels.
func difference(a, b image.Image) float64 {
	sum, size := 0, a.Bounds().Size()
	for y := range size.Y {
		for x := range size.X {
			p, q := color.RGBAModel.Convert(a.At(x, y)).(color.RGBA), color.RGBAModel.Convert(b.At(x, y)).(color.RGBA)
			for _, c := range [3][2]uint8{{p.R, q.R}, {p.G, q.G}, {p.B, q.B}} {
				sum += max(int(c[0])-int(c[1]), int(c[1])-int(c[0]))
			}
		}
	}
	return float64(sum) / float64(3*size.X*size.Y)
}

func TestRender_DoesNotChangeTheImage(t *testing.T) {
	img := drawing(100, white)
	before := bytes.Clone(img.Pix)
	for _, text := range []string{"png", "jpg-ff0000", "png-transparent", "webp-transparent", "webp-20x50-contain-transparent", "png-20x50-cover"} {
		mustRender(t, img, text)
	}
	assert.Equal(t, before, img.Pix)
}

func FuzzRender(f *testing.F) {
	f.Add("png-8x3-cover", byte(5), byte(7), []byte{255, 0, 0, 255, 0, 255, 0, 128})
	f.Add("webp-transparent", byte(9), byte(9), []byte{250, 250, 250, 255})
	f.Add("ico-contain", byte(1), byte(40), []byte{})
	f.Add("jpg-3x40-contain-ff0000", byte(33), byte(2), []byte{1, 2, 3, 4, 5, 6, 7})
	f.Fuzz(func(t *testing.T, text string, width, height byte, pix []byte) {
		s, err := render.ParseSpec(text)
		if err != nil || s.Width > 64 || s.Height > 64 {
			return
		}
		img := image.NewNRGBA(image.Rect(0, 0, int(width%48), int(height%48)))
		for i := range img.Pix {
			if len(pix) > 0 {
				img.Pix[i] = pix[i%len(pix)]
			}
		}
		r, err := render.Render(img, s)
		if err != nil {
			var spec *render.SpecError
			require.ErrorAs(t, err, &spec)
			return
		}
		assert.Equal(t, image.Pt(r.Width, r.Height), decode(t, r.Data, s.Format).Bounds().Size())
	})
}

func TestRender_ScalesOneColorExactly(t *testing.T) {
	c := color.RGBA{201, 100, 55, 255}
	for text, size := range map[string]image.Point{
		"png-33x77-cover": {97, 61}, "png-1x1-contain": {4096, 1}, "png-1x3-contain": {3, 4000}, "png-400x300-cover": {7, 5}, "png-16x16-cover": {1024, 1023},
	} {
		img := decode(t, mustRender(t, plain(size.X, size.Y, c), text).Data, render.PNG)
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				if _, _, _, a := img.At(x, y).RGBA(); a != 0 {
					assertColor(t, c, img, x, y, 0)
				}
			}
		}
	}
}

// x/image has the same kernel in floating point.
func TestRender_ScalesLikeCatmullRom(t *testing.T) {
	src := photo(300, 200)
	fill(src, image.Rect(40, 40, 90, 90), none)
	fill(src, image.Rect(60, 60, 70, 70), color.RGBA{0, 100, 0, 100})
	for _, size := range []image.Point{{450, 300}, {150, 100}, {90, 60}, {299, 199}} {
		want := image.NewRGBA(image.Rectangle{Max: size})
		draw.CatmullRom.Scale(want, want.Rect, src, src.Rect, draw.Src, nil)
		got := decode(t, mustRender(t, src, fmt.Sprintf("png-%dx%d-cover", size.X, size.Y)).Data, render.PNG)
		for y := range size.Y {
			for x := range size.X {
				assertColor(t, want.RGBAAt(x, y), got, x, y, 2)
			}
		}
	}
}
