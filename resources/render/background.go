package render

import (
	"fmt"
	"image"
	"slices"
)

// A background is removed in four steps:
//
//  1. The corners must have the same color, but for a smooth change and noise.
//  2. What is close to that color and connected to the border is the background.
//  3. What is connected to the background, and is the background but darker, is a shadow. It
//     becomes transparent black.
//  4. Pixels near the edge are a mixture of the background and of the subject behind the
//     edge. Their share of the subject becomes their opacity, and the background's share is
//     subtracted from their color.
type remover struct {
	pix           []byte
	width, height int
	corners       [4]rgb // upper left, upper right, lower left, lower right
	even          bool   // the corners have practically the same color
	kind          []kind // of each pixel
	near          int    // distance from the background's color up to which a pixel belongs to it
	weak          int    // distance that compression reaches beside an edge
	slack         int    // noise of a channel in a shadow or in an edge
	reach         int    // width of the edge in pixels
}

type kind uint8

const (
	subject kind = iota
	background
	shadow
)

// rgb is a color whose channels are 0 to 255.
type rgb [3]int

// distance returns the largest difference of a channel.
func (c rgb) distance(d rgb) int {
	return max(abs(c[0]-d[0]), abs(c[1]-d[1]), abs(c[2]-d[2]))
}

const plainHint = `Generate the image with "on a plain, single-color background" in the prompt, naming a color that the subject does not have. ` +
	`Do not ask for a transparent or checkerboard background, which would be painted.`

// removeBackground returns a copy of an image whose plain background is transparent, and the
// share of the pixels that became transparent. It returns an image with transparent corners
// as it is. lossy says that the image was compressed as a JPEG. removeBackground fails with
// a *SpecError if the background is not plain.
func removeBackground(src *image.RGBA, lossy bool) (*image.RGBA, float64, error) {
	r := &remover{pix: compact(src), width: src.Rect.Dx(), height: src.Rect.Dy(), weak: 24, slack: 6}
	r.reach = min(max(min(r.width, r.height)/256, 2), 6)
	if lossy {
		r.weak, r.slack, r.reach = 48, 14, r.reach+1
	}
	if r.clearCorners() {
		return src, 0, nil
	}
	if err := r.findColor(); err != nil {
		return nil, 0, err
	}
	r.kind = make([]kind, r.width*r.height)
	r.fill()
	r.despeckle()
	count := 0
	for _, k := range r.kind {
		if k == background {
			count++
		}
	}
	share := float64(count) / float64(len(r.kind))
	switch {
	case share < 0.005:
		return nil, 0, &SpecError{"The image has no plain background that could become transparent.", plainHint}
	case share > 0.995:
		return nil, 0, &SpecError{"The whole image would become transparent, because it has hardly any other color than its background.", plainHint}
	}
	r.fillShadow()
	return r.cut(), share, nil
}

// compact returns the pixels of an image without gaps between the rows.
func compact(src *image.RGBA) []byte {
	row := 4 * src.Rect.Dx()
	if src.Stride == row {
		return src.Pix
	}
	pix := make([]byte, 0, row*src.Rect.Dy())
	for y := range src.Rect.Dy() {
		pix = append(pix, src.Pix[y*src.Stride:][:row]...)
	}
	return pix
}

// at returns the color of a pixel.
func (r *remover) at(i int) rgb {
	p := r.pix[4*i : 4*i+4]
	return rgb{int(p[0]), int(p[1]), int(p[2])}
}

// patch returns a square in a corner, numbered like the corners.
func (r *remover) patch(corner int) image.Rectangle {
	side := min(max(min(r.width, r.height)/32, 1), 32)
	at := image.Pt(corner%2*(r.width-side), corner/2*(r.height-side))
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(side, side))}
}

// clearCorners reports whether two corners are transparent already.
func (r *remover) clearCorners() bool {
	count := 0
	for corner := range 4 {
		at := r.patch(corner).Min
		if corner%2 == 1 {
			at.X = r.width - 1
		}
		if corner/2 == 1 {
			at.Y = r.height - 1
		}
		if r.pix[4*(at.Y*r.width+at.X)+3] < 128 {
			count++
		}
	}
	return count >= 2
}

// findColor finds the color of the background and the limit of its noise.
func (r *remover) findColor() error {
	noise := 0
	for corner := range r.corners {
		patch := r.patch(corner)
		var pixels []rgb
		for y := patch.Min.Y; y < patch.Max.Y; y++ {
			for x := patch.Min.X; x < patch.Max.X; x++ {
				pixels = append(pixels, r.at(y*r.width+x))
			}
		}
		color := median(pixels)
		distances := make([]int, len(pixels))
		for i, p := range pixels {
			distances[i] = p.distance(color)
		}
		slices.Sort(distances)
		r.corners[corner] = color
		noise = max(noise, distances[len(distances)*95/100])
	}
	const mostNoise, mostDifference, even = 16, 40, 3
	if noise > mostNoise {
		return &SpecError{"The background in the corners of the image has a pattern, so it cannot become transparent.", plainHint}
	}
	r.even = true
	for _, c := range r.corners[1:] {
		r.even = r.even && c.distance(r.corners[0]) <= even
		if c.distance(r.corners[0]) > mostDifference {
			return &SpecError{
				fmt.Sprintf("The corners of the image differ (%s and %s), so it has no plain background that could become transparent.", r.corners[0].hex(), c.hex()),
				plainHint,
			}
		}
	}
	r.near = max(12, 2*noise)
	return nil
}

func (c rgb) hex() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

// median returns the median of each channel.
func median(pixels []rgb) (m rgb) {
	values := make([]int, len(pixels))
	for c := range m {
		for i, p := range pixels {
			values[i] = p[c]
		}
		slices.Sort(values)
		m[c] = values[len(values)/2]
	}
	return m
}

// behind returns the color of the background at a pixel, interpolated between the corners.
func (r *remover) behind(i int) (c rgb) {
	if r.even {
		return r.corners[0]
	}
	x, y := i%r.width*256/r.width, i/r.width*256/r.height
	for k := range c {
		upper := r.corners[0][k]*(256-x) + r.corners[1][k]*x
		lower := r.corners[2][k]*(256-x) + r.corners[3][k]*x
		c[k] = (upper*(256-y) + lower*y + 1<<15) >> 16
	}
	return c
}

// beside returns the pixels left, right, above and below another, -1 for those outside.
func (r *remover) beside(i int) [4]int {
	pixels := [4]int{-1, -1, -1, -1}
	x := i % r.width
	if x > 0 {
		pixels[0] = i - 1
	}
	if x < r.width-1 {
		pixels[1] = i + 1
	}
	if i >= r.width {
		pixels[2] = i - r.width
	}
	if i < len(r.kind)-r.width {
		pixels[3] = i + r.width
	}
	return pixels
}

// spread visits what is connected to pixels of a queue. enter decides whether it goes from
// one pixel to its neighbor, which enter must mark.
func (r *remover) spread(queue []int32, enter func(from, to int) bool) {
	for len(queue) > 0 {
		from := int(queue[len(queue)-1])
		queue = queue[:len(queue)-1]
		for _, to := range r.beside(from) {
			if to >= 0 && enter(from, to) {
				queue = append(queue, int32(to))
			}
		}
	}
}

// fill marks the background.
func (r *remover) fill() {
	enter := func(from, i int) bool {
		if r.kind[i] == background || !r.like(from, i) {
			return false
		}
		r.kind[i] = background
		return true
	}
	var border []int32
	add := func(i int) {
		if enter(i, i) {
			border = append(border, int32(i))
		}
	}
	for x := range r.width {
		add(x)
		add(len(r.kind) - 1 - x)
	}
	for y := range r.height {
		add(y * r.width)
		add(y*r.width + r.width - 1)
	}
	r.spread(border, enter)
}

// like reports whether a pixel has the color of the background, or is lighter without a step
// from its neighbor, because pictures are often darker in the corners.
func (r *remover) like(neighbor, i int) bool {
	const mostLight, step = 40, 3
	c, b := r.at(i), r.behind(i)
	d := c.distance(b)
	if d <= r.near || d > mostLight || neighbor == i {
		return d <= r.near
	}
	lighter := c[0] > b[0]-r.near && c[1] > b[1]-r.near && c[2] > b[2]-r.near
	return lighter && c.distance(r.at(neighbor)) <= step
}

// despeckle adds to the background what compression left beside edges: areas that differ
// little from its color, are as narrow as a block of a JPEG, and touch it. What is next to
// the subject stays, because it may be the edge.
func (r *remover) despeckle() {
	const block = 8
	_, depth := r.nearest(block, func(i int) bool { return r.kind[i] == background })
	_, edge := r.nearest(r.reach, func(i int) bool { return r.kind[i] == subject && !r.faint(i) })
	visited := make([]bool, len(r.kind))
	for start := range r.kind {
		if visited[start] || depth[start] != 1 || !r.faint(start) {
			continue
		}
		visited[start] = true
		area, narrow := []int{start}, true
		r.spread([]int32{int32(start)}, func(_, i int) bool {
			if visited[i] || r.kind[i] == background || !r.faint(i) {
				return false
			}
			visited[i] = true
			area = append(area, i)
			narrow = narrow && depth[i] > 0
			return true
		})
		for _, i := range area {
			if narrow && edge[i] == 0 {
				r.kind[i] = background
			}
		}
	}
}

// faint reports whether a pixel differs little from the background.
func (r *remover) faint(i int) bool { return r.at(i).distance(r.behind(i)) <= max(r.weak, r.near) }
