package sandbox

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/hajimehoshi/bitmapfont/v3"
	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
)

// draw paints a landscape that depends on the seed, and writes "sandbox" and
// the prompt over it. With noise it paints random pixels instead, which cannot
// be compressed.
func draw(width, height int, prompt string, seed uint64, noise bool) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // an image must be repeatable, not secret
	hue := random.Float64()
	sky(img, hue, random)
	for layer := range 4 {
		hills(img, hue, layer, random)
	}
	if noise {
		for i := range img.Pix {
			if i%4 != 3 {
				img.Pix[i] = byte(random.Uint32())
			}
		}
	}
	caption(img, prompt)
	return img
}

// sky paints a gradient with a sun.
func sky(img *image.RGBA, hue float64, random *rand.Rand) {
	b := img.Bounds()
	top, bottom := hsv(hue, 0.55, 0.75), hsv(hue+0.12, 0.30, 0.98)
	sunX, sunY := float64(b.Dx())*(0.15+0.7*random.Float64()), float64(b.Dy())*(0.12+0.2*random.Float64())
	radius := float64(min(b.Dx(), b.Dy())) * (0.06 + 0.05*random.Float64())
	sun := hsv(hue+0.5, 0.12, 1)
	for y := range b.Dy() {
		ground := mix(top, bottom, float64(y)/float64(b.Dy()))
		for x := range b.Dx() {
			c := ground
			if d := math.Hypot(float64(x)-sunX, float64(y)-sunY); d < radius*3 {
				c = mix(sun, ground, math.Min(1, math.Max(0, d-radius)/(radius*2)))
			}
			img.SetRGBA(x, y, c)
		}
	}
}

// hills fills the area below a sum of waves. Nearer layers are darker.
func hills(img *image.RGBA, hue float64, layer int, random *rand.Rand) {
	b := img.Bounds()
	base := float64(b.Dy()) * (0.45 + 0.12*float64(layer))
	c := hsv(hue+0.35+0.03*float64(layer), 0.35+0.08*float64(layer), 0.70-0.13*float64(layer))
	var frequency, phase [3]float64
	for i := range frequency {
		frequency[i] = (1 + 3*random.Float64()) * float64(i+1) * 2 * math.Pi / float64(b.Dx())
		phase[i] = random.Float64() * 2 * math.Pi
	}
	for x := range b.Dx() {
		crest := base
		for i := range frequency {
			crest += math.Sin(float64(x)*frequency[i]+phase[i]) * float64(b.Dy()) * 0.05 / float64(i+1)
		}
		for y := max(0, int(crest)); y < b.Dy(); y++ {
			img.SetRGBA(x, y, c)
		}
	}
}

// caption writes the prompt on a dark band at the bottom of the image.
func caption(img *image.RGBA, prompt string) {
	b := img.Bounds()
	scale := max(2, min(b.Dx(), b.Dy())/340)
	columns := b.Dx()/scale - 16
	lines := append([]string{"sandbox"}, wrap(prompt, columns, 8)...)
	const lineHeight = 16
	mask := image.NewAlpha(image.Rect(0, 0, b.Dx()/scale, len(lines)*lineHeight+8))
	drawer := font.Drawer{Dst: mask, Src: image.Opaque, Face: bitmapfont.FaceSC}
	for i, line := range lines {
		drawer.Dot = fixed.P(8, 4+i*lineHeight+12)
		drawer.DrawString(line)
	}
	top := b.Dy() - mask.Bounds().Dy()*scale
	for y := max(0, top); y < b.Dy(); y++ {
		for x := range b.Dx() {
			c := mix(img.RGBAAt(x, y), color.RGBA{12, 14, 20, 255}, 0.72)
			if mask.AlphaAt(x/scale, (y-top)/scale).A > 0 {
				c = color.RGBA{245, 245, 240, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
}

// wrap breaks text into at most the given number of lines, each of at most
// width pixels in the font. It cuts text that needs more lines.
func wrap(text string, width, lines int) []string {
	var out []string
	line := ""
	flush := func() {
		if strings.TrimSpace(line) != "" {
			out = append(out, strings.TrimSpace(line))
		}
		line = ""
	}
	for _, word := range strings.SplitAfter(strings.Join(strings.Fields(text), " "), " ") {
		if font.MeasureString(bitmapfont.FaceSC, line+word).Ceil() > width {
			flush()
		}
		for _, r := range word { // breaks words longer than a line, and Chinese text
			if font.MeasureString(bitmapfont.FaceSC, line+string(r)).Ceil() > width {
				flush()
			}
			line += string(r)
		}
		if len(out) >= lines {
			break
		}
	}
	flush()
	if len(out) > lines {
		out = append(out[:lines-1], out[lines-1]+"…")
	}
	return out
}

func mix(a, b color.RGBA, share float64) color.RGBA {
	part := func(x, y uint8) uint8 { return uint8(float64(x) + (float64(y)-float64(x))*share) }
	return color.RGBA{part(a.R, b.R), part(a.G, b.G), part(a.B, b.B), 255}
}

// hsv converts hue, saturation and value, each from 0 to 1, to a colour. The
// hue wraps around.
func hsv(h, s, v float64) color.RGBA {
	channel := func(n float64) uint8 {
		k := math.Mod(n+h*6, 6)
		return uint8(255 * (v - v*s*math.Max(0, math.Min(k, math.Min(4-k, 1)))))
	}
	return color.RGBA{channel(5), channel(3), channel(1), 255}
}
