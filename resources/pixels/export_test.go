package pixels

import (
	"errors"
	"io"
	"slices"
)

// Paeth is the predictor of the Paeth filter.
var Paeth = paeth

// ErrMore means that there is more output than expected.
var ErrMore = errMore

// Inflate decompresses DEFLATE that becomes at most limit bytes, in pieces of piece bytes. It
// returns the input after the compressed data as well.
func Inflate(in []byte, piece, limit int) (out, rest []byte, err error) {
	f := newInflater(slices.Clip(in), piece, limit)
	for len(out) < limit {
		b, err := f.next(min(piece, limit-len(out)))
		if errors.Is(err, io.ErrUnexpectedEOF) {
			b, _ = f.next(f.n - f.read)
			out = append(out, b...)
			break
		}
		if err != nil {
			return out, nil, err
		}
		out = append(out, b...)
	}
	rest, err = f.rest()
	return out, rest, err
}

// Plane is a decoded component of a JPEG before its final scaling, with padding to whole
// MCUs.
type Plane struct {
	Pix    []byte
	Stride int
}

// JPEGPlanes decodes the components like ShrinkJPEG and returns the divisor of their size.
func JPEGPlanes(file []byte, limit int) (planes []Plane, scale int, err error) {
	d := jpegDecoder{data: file, limit: limit}
	if err := d.decode(); err != nil {
		return nil, 0, err
	}
	for _, c := range d.components {
		planes = append(planes, Plane{Pix: c.plane.pix, Stride: c.plane.stride})
	}
	return planes, d.scale, nil
}

// JPEGBlock returns the pixels of a block with a side of 1, 2 or 4 pixels, from its
// coefficients in zigzag order.
func JPEGBlock(coefs [64]int32, quant [64]byte, side int) []byte {
	steps := newJPEGSteps(&quant, side)
	scaled := [jpegSlots]int32{jpegDC(coefs[0] * steps.dc())}
	for i, c := range coefs {
		if i > 0 {
			scaled[steps[i]&(jpegSlots-1)] += c * (steps[i] >> jpegSlotBits)
		}
	}
	out := make([]byte, side*side)
	jpegPixels(&scaled, out, side, side)
	return out
}

// JPEGDivide divides the coefficients of a block by 8 times a quantization step. nonzero has a
// bit for each quotient that is not zero, except the first one.
func JPEGDivide(coefs [64]int32, step byte) (quotients [64]int32, nonzero uint64) {
	var quant [jpegBlockCoefs]byte
	var block jpegBlock
	for i := range quant {
		quant[i] = step
	}
	c := newJPEGChannel(&quant, jpegTable{}, jpegTable{})
	for i, v := range coefs {
		block[c.order[i]] = v
		quotients[i] = c.divide(v, i)
	}
	return quotients, c.nonzero(&block)
}
