package render

import "image"

// crop returns the largest part of the image with the proportions of a size. It is the part
// with the most detail, or the middle if that has hardly less. It is not below the middle if
// there is detail above it, because faces often have less detail than clothes or grass.
func (p *pyramid) crop(width, height int) image.Rectangle {
	size := p.size()
	w, h := size.X, size.Y
	if w*height > h*width {
		w = max(1, (h*width+height/2)/height)
	} else {
		h = max(1, (w*height+width/2)/width)
	}
	var at image.Point
	switch {
	case w < size.X:
		at.X = place(p.detail(false), size.X, w)
	case h < size.Y:
		detail := p.detail(true)
		at.Y = place(detail, size.Y, h)
		above := sum(detail[:at.Y*len(detail)/size.Y])
		if middle := (size.Y - h) / 2; at.Y > middle && above*10 > sum(detail) {
			at.Y = middle
		}
	}
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))}
}

// place returns where a window of a length starts on an axis, whose detail is given for
// equally long pieces.
func place(detail []int, axis, window int) int {
	pieces := min(len(detail)-1, max(1, (window*len(detail)+axis/2)/axis))
	if pieces < 1 {
		return (axis - window) / 2
	}
	sums := make([]int, len(detail)-pieces+1)
	sums[0] = sum(detail[:pieces])
	for i := range sums[1:] {
		sums[i+1] = sums[i] + detail[i+pieces] - detail[i]
	}
	best := 0
	for start := range sums {
		if sums[start] > sums[best] {
			best = start
		}
	}
	middle := (len(sums) - 1) / 2
	if sums[best]*100 <= sums[middle]*120 {
		return (axis - window) / 2
	}
	// Windows beside the best that have nearly as much: their middle centers the subject.
	first, last := best, best
	for first > 0 && sums[first-1]*100 >= sums[best]*97 {
		first--
	}
	for last < len(sums)-1 && sums[last+1]*100 >= sums[best]*97 {
		last++
	}
	return (first + last) * (axis - window) / (2 * (len(sums) - 1))
}

func sum(detail []int) (total int) {
	for _, d := range detail {
		total += d
	}
	return total
}

// detail returns the sum of the differences between neighbors for each row or column of a
// small copy of the image.
func (p *pyramid) detail(rows bool) []int {
	const side = 256
	level := 0
	for size := p.size(); max(size.X, size.Y)>>level > side && min(size.X, size.Y)>>level >= 2; {
		level++
	}
	img := p.level(level)
	size := img.Rect.Size()
	sums := make([]int, size.X)
	if rows {
		sums = make([]int, size.Y)
	}
	for y := range size.Y {
		row, above := img.Pix[y*img.Stride:], img.Pix[max(0, y-1)*img.Stride:]
		for x := range size.X {
			d := difference(row[4*x:4*x+4], row[4*max(0, x-1):]) + difference(row[4*x:4*x+4], above[4*x:])
			if rows {
				sums[y] += d
			} else {
				sums[x] += d
			}
		}
	}
	return sums
}

// difference returns the sum of the differences of the channels of two pixels.
func difference(p, q []byte) int {
	sum := 0
	for c := range 4 {
		sum += abs(int(p[c]) - int(q[c]))
	}
	return sum
}

func abs(n int) int { return max(n, -n) }
