package render

import (
	"image"
	"math"
)

// taps says of which pixels of a row or column a new pixel consists, and to which part.
type taps struct {
	first   int
	weights []int64 // their sum is 1 << weightBits
}

const (
	weightBits = 14
	extraBits  = 6 // of the sums between the two passes
)

// catmullRom returns the taps for scaling length pixels to n. Products are rounded before
// they are added, so that all processors compute the same weights.
func catmullRom(length, n int) []taps {
	ratio := float64(length) / float64(n)
	width := max(ratio, 1)
	list := make([]taps, n)
	for i := range list {
		center := float64((float64(i)+0.5)*ratio) - 0.5
		first := max(0, int(math.Ceil(center-float64(2*width))))
		last := min(length-1, int(math.Floor(center+float64(2*width))))
		shares, total := make([]float64, last-first+1), 0.0
		for k := range shares {
			shares[k] = cubic(math.Abs(float64(first+k)-center) / width)
			total += shares[k]
		}
		t := taps{first, make([]int64, len(shares))}
		rest, largest := int64(1<<weightBits), 0
		for k, share := range shares {
			t.weights[k] = int64(math.Round(float64(share/total) * (1 << weightBits)))
			rest -= t.weights[k]
			if t.weights[k] > t.weights[largest] {
				largest = k
			}
		}
		t.weights[largest] += rest
		list[i] = t
	}
	return list
}

// cubic is the Catmull-Rom kernel.
func cubic(t float64) float64 {
	switch {
	case t < 1:
		return float64(float64(float64(1.5*t)-2.5)*float64(t*t)) + 1
	case t < 2:
		return float64(float64(float64(float64(float64(-0.5*t)+2.5)*t)-4)*t) + 2
	default:
		return 0
	}
}

// pair is a pixel, or a weighted sum of pixels. Each integer holds two channels, so that one
// multiplication and one addition do for both: high * 1<<32 + low, where low may be negative.
type pair struct{ rb, ga int64 }

func join(low, high int32) int64 { return int64(low) + int64(high)<<32 }

func split(v int64) (low, high int32) {
	low = int32(v)
	return low, int32((v - int64(low)) >> 32)
}

// scaler scales a part of an image, row by row.
type scaler struct {
	src     *image.RGBA
	part    image.Rectangle
	columns []taps
	source  []pair   // a row of the part
	rows    [][]pair // rows that are scaled horizontally; row y is at y modulo their number
	ready   int      // number of the next row to scale
}

// resample returns a part of an image in another size, scaled with the Catmull-Rom kernel.
// Compared with the one in x/image, it takes a third of the time, keeps only a few rows in
// memory, and gives the same bytes on all processors, because it adds integers.
func resample(src *image.RGBA, part image.Rectangle, size image.Point) *image.RGBA {
	lines := catmullRom(part.Dy(), size.Y)
	s := &scaler{src: src, part: part, columns: catmullRom(part.Dx(), size.X), source: make([]pair, part.Dx())}
	most := 0
	for _, t := range lines {
		most = max(most, len(t.weights))
	}
	s.rows = make([][]pair, most)
	for i := range s.rows {
		s.rows[i] = make([]pair, size.X)
	}
	dst := image.NewRGBA(image.Rectangle{Max: size})
	sums := make([]pair, size.X)
	for y, t := range lines {
		for ; s.ready < t.first+len(t.weights); s.ready++ {
			s.scaleRow(s.ready)
		}
		clear(sums)
		for k, w := range t.weights {
			for x, p := range s.rows[(t.first+k)%most] {
				sums[x].rb += w * p.rb
				sums[x].ga += w * p.ga
			}
		}
		store(dst.Pix[y*dst.Stride:], sums)
	}
	return dst
}

// scaleRow scales a row horizontally.
func (s *scaler) scaleRow(y int) {
	pix := s.src.Pix[s.src.PixOffset(s.part.Min.X, s.part.Min.Y+y):][:4*s.part.Dx()]
	for x := range s.source {
		p := pix[4*x : 4*x+4]
		s.source[x] = pair{join(int32(p[0]), int32(p[2])), join(int32(p[1]), int32(p[3]))}
	}
	row := s.rows[y%len(s.rows)]
	for x, t := range s.columns {
		var sum pair
		for k, p := range s.source[t.first:][:len(t.weights)] {
			sum.rb += t.weights[k] * p.rb
			sum.ga += t.weights[k] * p.ga
		}
		row[x] = pair{shorten(sum.rb), shorten(sum.ga)}
	}
}

func shorten(v int64) int64 {
	const bits = weightBits - extraBits
	low, high := split(v)
	return join((low+1<<(bits-1))>>bits, (high+1<<(bits-1))>>bits)
}

// store writes a row. The kernel can overshoot, so values are limited to what is possible.
func store(out []byte, sums []pair) {
	const bits = weightBits + extraBits
	for x, p := range sums {
		r, b := split(p.rb)
		g, a := split(p.ga)
		a = min(max((a+1<<(bits-1))>>bits, 0), 255)
		o := out[4*x : 4*x+4]
		o[0] = byte(min(max((r+1<<(bits-1))>>bits, 0), a))
		o[1] = byte(min(max((g+1<<(bits-1))>>bits, 0), a))
		o[2] = byte(min(max((b+1<<(bits-1))>>bits, 0), a))
		o[3] = byte(a)
	}
}
