package render

// light returns which part of the background's light a pixel has, in 1/256. ok is false if
// it has another hue, or is not darker.
func (r *remover) light(i int) (part int, ok bool) {
	c, b := r.at(i), r.behind(i)
	if max(b[0], b[1], b[2]) < 100 { // a dark background shows no shadows
		return 0, false
	}
	part = (c[0] + c[1] + c[2]) * 256 / (b[0] + b[1] + b[2])
	for k := range c {
		if abs(c[k]-b[k]*part/256) > r.slack {
			return 0, false
		}
	}
	return part, part < 256 && part > 40
}

// fillShadow marks shadows on the background. They begin at the background and get darker
// without a step.
func (r *remover) fillShadow() {
	enter := func(_, i int) bool {
		if r.kind[i] != subject || !r.smooth(i) {
			return false
		}
		if _, ok := r.light(i); !ok {
			return false
		}
		r.kind[i] = shadow
		return true
	}
	var border []int32
	for y := 1; y < r.height-1; y++ {
		for i := y*r.width + 1; i < (y+1)*r.width-1; i++ {
			next := r.kind[i-1] == background || r.kind[i+1] == background || r.kind[i-r.width] == background || r.kind[i+r.width] == background
			if next && enter(i, i) {
				border = append(border, int32(i))
			}
		}
	}
	r.spread(border, enter)
	r.joinShadow()
}

// joinShadow adds to the shadow the noise in it: pixels that are dark background too, and
// differ little from most of their neighbors, which are not the subject.
func (r *remover) joinShadow() {
	const most, passes = 40, 2
	for range passes {
		var found []int
		for y := 1; y < r.height-1; y++ {
			for i := y*r.width + 1; i < (y+1)*r.width-1; i++ {
				if r.kind[i] != subject {
					continue
				}
				similar := 0
				for _, d := range [8]int{-r.width - 1, -r.width, -r.width + 1, -1, 1, r.width - 1, r.width, r.width + 1} {
					if r.kind[i+d] != subject && r.at(i).distance(r.at(i+d)) <= most {
						similar++
					}
				}
				if _, ok := r.light(i); ok && similar >= 5 {
					found = append(found, i)
				}
			}
		}
		for _, i := range found {
			r.kind[i] = shadow
		}
	}
}

// smooth reports whether a pixel is about as light as its neighbors.
func (r *remover) smooth(i int) bool {
	c := r.at(i)
	for _, j := range r.beside(i) {
		if j >= 0 && c.distance(r.at(j)) > 6+r.slack {
			return false
		}
	}
	return true
}
