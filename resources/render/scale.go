package render

import "image"

// pyramid is an image and copies of it, each half as large as the one before.
type pyramid struct {
	levels []*image.RGBA
	opaque bool
}

func newPyramid(img *image.RGBA) *pyramid {
	return &pyramid{levels: []*image.RGBA{img}, opaque: img.Opaque()}
}

func (p *pyramid) size() image.Point { return p.levels[0].Rect.Size() }

// level returns the image halved n times.
func (p *pyramid) level(n int) *image.RGBA {
	for len(p.levels) <= n {
		p.levels = append(p.levels, halve(p.levels[len(p.levels)-1]))
	}
	return p.levels[n]
}

// halve averages squares of 2x2 pixels of an image that has at least one. It drops half a
// square at the right and the lower edge. Colors are premultiplied, so transparent pixels do
// not count.
func halve(src *image.RGBA) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, src.Rect.Dx()/2, src.Rect.Dy()/2))
	for y := range dst.Rect.Dy() {
		upper := src.Pix[2*y*src.Stride:]
		lower := src.Pix[(2*y+1)*src.Stride:]
		out := dst.Pix[y*dst.Stride:][:4*dst.Rect.Dx()]
		for i := 0; i+4 <= len(out); i += 4 {
			o := out[i : i+4]
			p, q, r, s := upper[2*i:][:4], upper[2*i+4:][:4], lower[2*i:][:4], lower[2*i+4:][:4]
			o[0] = byte((uint(p[0]) + uint(q[0]) + uint(r[0]) + uint(s[0]) + 2) / 4)
			o[1] = byte((uint(p[1]) + uint(q[1]) + uint(r[1]) + uint(s[1]) + 2) / 4)
			o[2] = byte((uint(p[2]) + uint(q[2]) + uint(r[2]) + uint(s[2]) + 2) / 4)
			o[3] = byte((uint(p[3]) + uint(q[3]) + uint(r[3]) + uint(s[3]) + 2) / 4)
		}
	}
	return dst
}

// scale returns a part of the image in another size. While the part is at least four times
// as large it is halved, which is cheap and leaves enough pixels for a good kernel.
func (p *pyramid) scale(part image.Rectangle, size image.Point) *image.RGBA {
	n := 0
	for part.Dx()>>n >= 4*size.X && part.Dy()>>n >= 4*size.Y {
		n++
	}
	src := p.level(n)
	part = image.Rect(part.Min.X>>n, part.Min.Y>>n, part.Max.X>>n, part.Max.Y>>n)
	if part.Size() == size {
		return cut(src, part)
	}
	return resample(src, part, size)
}

// cut returns a part of an image, whose pixels start at (0, 0).
func cut(src *image.RGBA, part image.Rectangle) *image.RGBA {
	if part == src.Rect {
		return src
	}
	return &image.RGBA{Pix: src.Pix[src.PixOffset(part.Min.X, part.Min.Y):], Stride: src.Stride, Rect: image.Rectangle{Max: part.Size()}}
}
