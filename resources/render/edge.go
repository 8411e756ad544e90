package render

import "image"

// cut returns the image without its background. Right behind the edge, pixels can still
// have some of the background, so the color of the subject is taken from a little deeper.
func (r *remover) cut() *image.RGBA {
	const margin = 2
	outside, depth := r.nearest(r.reach+margin, func(i int) bool { return r.kind[i] != subject })
	inside, _ := r.nearest(2*r.reach+8, func(i int) bool { return outside[i] < 0 })
	dst := image.NewRGBA(image.Rect(0, 0, r.width, r.height))
	for i, k := range r.kind {
		out := dst.Pix[4*i : 4*i+4]
		switch {
		case k == shadow:
			out[3] = byte(r.shade(i))
		case k == subject && (outside[i] < 0 || int(depth[i]) > r.reach):
			copy(out, r.pix[4*i:4*i+4])
		case k == subject:
			r.mix(out, i, int(outside[i]), int(inside[i]), int(depth[i]))
		}
	}
	return dst
}

// shade returns the opacity of a shadow, 0 to 255. It is 0 where the background ends.
func (r *remover) shade(i int) int {
	part, _ := r.light(i)
	return min(max((256-part-r.near)*255/(256-r.near), 0), 255)
}

// mix writes a pixel of the edge. outside is the nearest pixel of the background or of a
// shadow, inside the nearest of the subject behind the edge or -1, and depth the distance
// from outside.
func (r *remover) mix(out []byte, i, outside, inside, depth int) {
	c, b, shade := r.at(i), r.mean(outside), 0
	if r.kind[outside] == shadow {
		shade = r.shade(outside)
	}
	var opacity int
	if inside >= 0 {
		opacity = share(c, b, r.mean(inside))
	} else {
		f := r.strongest(i, b)
		opacity = share(c, b, f) * min(f.distance(b), 3*r.near) / (3 * r.near)
	}
	if !r.faint(i) {
		opacity = max(opacity, (depth-1)*128/r.reach, r.leastShare(c, b))
	}
	const least = 16 // noise beside an edge
	switch {
	case opacity < least:
		opacity = 0
	case opacity > 255-least:
		opacity = 255
	}
	for k := range c {
		out[k] = byte(min(max(c[k]-(255-opacity)*b[k]/255, 0), opacity))
	}
	out[3] = byte(opacity + (255-opacity)*shade/255)
}

// leastShare returns the smallest share of the subject with which its color is one of 0 to 255.
func (r *remover) leastShare(mixture, b rgb) (least int) {
	for k := range b {
		if d := mixture[k] - b[k]; d < -r.slack {
			least = max(least, (-d-r.slack)*255/b[k])
		} else if d > r.slack {
			least = max(least, (d-r.slack)*255/(255-b[k]))
		}
	}
	return least
}

// mean returns the mean color of the pixels around one that are of its kind.
func (r *remover) mean(i int) (m rgb) {
	x, y, n := i%r.width, i/r.width, 0
	for v := max(0, y-1); v <= min(r.height-1, y+1); v++ {
		for u := max(0, x-1); u <= min(r.width-1, x+1); u++ {
			if j := v*r.width + u; r.kind[j] == r.kind[i] {
				c := r.at(j)
				m = rgb{m[0] + c[0], m[1] + c[1], m[2] + c[2]}
				n++
			}
		}
	}
	return rgb{m[0] / n, m[1] / n, m[2] / n}
}

// share returns which part of a mixture of b and f is f, 0 to 255.
func share(mixture, b, f rgb) int {
	dot, length := 0, 0
	for k := range b {
		d := f[k] - b[k]
		dot += (mixture[k] - b[k]) * d
		length += d * d
	}
	if length == 0 {
		return 255
	}
	return min(max(dot*255/length, 0), 255)
}

// strongest returns the color near a pixel that differs most from that of the background.
func (r *remover) strongest(i int, b rgb) rgb {
	x, y := i%r.width, i/r.width
	best := r.at(i)
	for v := max(0, y-r.reach); v <= min(r.height-1, y+r.reach); v++ {
		for u := max(0, x-r.reach); u <= min(r.width-1, x+r.reach); u++ {
			if j := v*r.width + u; r.kind[j] == subject {
				if c := r.at(j); c.distance(b) > best.distance(b) {
					best = c
				}
			}
		}
	}
	return best
}

// nearest returns for each pixel the nearest one that is in a set, and the distance in steps.
// The pixel is -1 if there is none within a limit.
func (r *remover) nearest(limit int, in func(i int) bool) (pixels []int32, steps []uint8) {
	pixels, steps = make([]int32, len(r.kind)), make([]uint8, len(r.kind))
	for i := range pixels {
		pixels[i] = -1
		if in(i) {
			pixels[i] = int32(i)
		}
	}
	// The first step starts from the pixels that are not in the set: those in it are many.
	var front, next []int32
	for i := range pixels {
		if pixels[i] < 0 {
			if j := r.neighbor(i, pixels); j >= 0 {
				front = append(front, int32(i), int32(j))
			}
		}
	}
	for k := 0; k < len(front); k += 2 {
		pixels[front[k]], steps[front[k]] = front[k+1], 1
		front[k/2] = front[k]
	}
	front = front[:len(front)/2]
	for step := 2; step <= limit && len(front) > 0; step++ {
		next = next[:0]
		for _, i := range front {
			x, y := int(i)%r.width, int(i)/r.width
			for v := max(0, y-1); v <= min(r.height-1, y+1); v++ {
				for u := max(0, x-1); u <= min(r.width-1, x+1); u++ {
					if j := v*r.width + u; pixels[j] < 0 {
						pixels[j], steps[j] = pixels[i], uint8(step)
						next = append(next, int32(j))
					}
				}
			}
		}
		front, next = next, front
	}
	return pixels, steps
}

// neighbor returns a pixel beside, above or below another that is in a set, or -1.
func (r *remover) neighbor(i int, set []int32) int {
	for _, j := range r.beside(i) {
		if j >= 0 && set[j] >= 0 {
			return j
		}
	}
	return -1
}
