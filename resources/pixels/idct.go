package pixels

import "math"

// A scaled inverse DCT computes the means of squares of pixels directly from the
// coefficients of an 8x8 block. With N = 8/scale, the mean of scale adjacent values of
// the cosine of frequency k is a cosine of the N-point DCT: its frequency is k folded
// at N, because the mean cannot express higher frequencies. So an 8x8 block becomes an
// NxN block, each of whose coefficients is a weighted sum of those that fold onto it.

const (
	jpegSlots    = 16 // coefficients of the largest scaled block
	jpegSlotBits = 4
	jpegStepBits = 10 // fraction bits of the weights
)

// jpegSteps says for each coefficient in zigzag order where it belongs in the scaled
// block, in the lower jpegSlotBits, and by what to multiply it, with jpegStepBits
// fraction bits. Indices after the last coefficient have the weight zero.
type jpegSteps [256]int32

// newJPEGSteps returns the steps for a quantization table and a scaled block of side by
// side pixels.
func newJPEGSteps(quant *[jpegBlockCoefs]byte, side int) (steps jpegSteps) {
	var slots [jpegBlockSide]int
	var weights [jpegBlockSide]float64
	for k := range slots {
		slots[k], weights[k] = fold(k, side)
	}
	for i, natural := range zigzag() {
		x, y := natural%jpegBlockSide, natural/jpegBlockSide
		weight := math.Round(float64(quant[i]) * weights[x] * weights[y] * (1 << jpegStepBits))
		steps[i] = int32(weight)<<jpegSlotBits | int32(slots[y]*side+slots[x])
	}
	return steps
}

// dc returns the quantization step of the DC coefficient.
func (s *jpegSteps) dc() int32 { return s[0] >> (jpegSlotBits + jpegStepBits) }

// fold returns the frequency in an n-point DCT of the means of 8/n values of an 8-point
// cosine with the frequency k, and their amplitude.
func fold(k, n int) (frequency int, weight float64) {
	frequency = k % (2 * n)
	if frequency > n {
		frequency = 2*n - frequency
	}
	if frequency == n || k > 0 && frequency == 0 {
		return 0, 0
	}
	mean := 0.0
	for x := range jpegBlockSide / n {
		mean += math.Cos(float64((2*x+1)*k)*math.Pi/16) * float64(n) / jpegBlockSide
	}
	return frequency, mean / math.Cos(float64(frequency)*math.Pi/float64(2*n))
}

// zigzag returns the position of each coefficient in its block, row by row.
func zigzag() (order [jpegBlockCoefs]int) {
	x, y := 0, 0
	for i := range order {
		order[i] = y*jpegBlockSide + x
		up := (x+y)%2 == 0
		switch {
		case up && x == jpegBlockSide-1, !up && y < jpegBlockSide-1 && x == 0:
			y++
		case up && y == 0, !up && y == jpegBlockSide-1:
			x++
		case up:
			x, y = x+1, y-1
		default:
			x, y = x-1, y+1
		}
	}
	return order
}

// jpegDC returns a dequantized DC coefficient as the first of a scaled block. It adds the
// level shift of the samples and a half for rounding.
func jpegDC(dc int32) int32 { return (dc + 128*jpegBlockSide + jpegBlockSide/2) << jpegStepBits }

// jpegPixels writes a scaled block of side by side pixels.
func jpegPixels(coefs *[jpegSlots]int32, out []byte, stride, side int) {
	switch side {
	case 4:
		idct4(coefs, out, stride)
	case 2:
		idct2(coefs, out, stride)
	default:
		out[0] = clamp(int64(coefs[0]) >> (jpegStepBits + 3))
	}
}

// idct4 writes a block of 4x4 pixels.
func idct4(coefs *[jpegSlots]int32, out []byte, stride int) {
	const (
		fraction = 12
		cos1     = 5352 // sqrt(2)*cos(pi/8), with 12 fraction bits
		cos3     = 2217 // sqrt(2)*cos(3*pi/8)
	)
	var columns [jpegSlots]int64
	for x := range 4 {
		c0, c1, c2, c3 := int64(coefs[x]), int64(coefs[4+x]), int64(coefs[8+x]), int64(coefs[12+x])
		even0, even1 := (c0+c2)<<fraction, (c0-c2)<<fraction
		odd0, odd1 := c1*cos1+c3*cos3, c1*cos3-c3*cos1
		columns[x], columns[12+x] = even0+odd0, even0-odd0
		columns[4+x], columns[8+x] = even1+odd1, even1-odd1
	}
	const shift = 2*fraction + jpegStepBits + 3 // divides by 8
	for y := range 4 {
		c0, c1, c2, c3 := columns[4*y], columns[4*y+1], columns[4*y+2], columns[4*y+3]
		even0, even1 := (c0+c2)<<fraction, (c0-c2)<<fraction
		odd0, odd1 := c1*cos1+c3*cos3, c1*cos3-c3*cos1
		row := out[y*stride:][:4]
		row[0], row[3] = clamp((even0+odd0)>>shift), clamp((even0-odd0)>>shift)
		row[1], row[2] = clamp((even1+odd1)>>shift), clamp((even1-odd1)>>shift)
	}
}

// idct2 writes a block of 2x2 pixels.
func idct2(coefs *[jpegSlots]int32, out []byte, stride int) {
	c0, c1, c2, c3 := int64(coefs[0]), int64(coefs[1]), int64(coefs[2]), int64(coefs[3])
	const shift = jpegStepBits + 3 // divides by 8
	upper, lower := out[:2], out[stride:][:2]
	upper[0], upper[1] = clamp((c0+c1+c2+c3)>>shift), clamp((c0-c1+c2-c3)>>shift)
	lower[0], lower[1] = clamp((c0+c1-c2-c3)>>shift), clamp((c0-c1-c2+c3)>>shift)
}

// fillBlock writes a block of one color.
func fillBlock(out []byte, stride, side int, v byte) {
	for y := range side {
		row := out[y*stride:][:side]
		for x := range row {
			row[x] = v
		}
	}
}

func clamp(v int64) byte {
	if uint64(v) > 255 {
		return byte(^v >> 63) // 0 if v is negative, else 255
	}
	return byte(v)
}
