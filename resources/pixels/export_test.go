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

// JPEGMagnitudes returns, for each block of each component, the sum of the magnitudes of its
// dequantized coefficients. The blocks of a component are row by row.
func JPEGMagnitudes(file []byte, limit int) (sums [][]int32, err error) {
	d := jpegDecoder{data: file, limit: limit, pos: 2}
	for !d.scanned {
		marker, err := d.marker()
		if err != nil {
			return nil, err
		}
		body, err := d.segment()
		if err != nil {
			return nil, err
		}
		if marker == jpegSOS {
			err = d.scanHeader(body)
		} else {
			err = d.process(marker, body)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, c := range d.components {
		sums = append(sums, make([]int32, d.columns*c.across*d.rows*c.down))
	}
	for part := range jpegBlockCoefs / jpegSlots { // only as many coefficients fit at once
		if err := d.addMagnitudes(part, sums); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// addMagnitudes adds those of the jpegSlots coefficients of a part.
func (d *jpegDecoder) addMagnitudes(part int, sums [][]int32) error {
	bits := jpegBits{data: d.data, start: d.pos, pos: d.pos}
	for i := range d.components {
		c := &d.components[i]
		c.last, c.steps = 0, jpegSteps{}
		for slot := range int32(jpegSlots) {
			at := part*jpegSlots + int(slot)
			c.steps[at] = int32(d.quant[c.quant][at])<<jpegSlotBits | slot
		}
	}
	for mcu := range d.rows * d.columns {
		if err := d.restartBefore(&bits, mcu); err != nil {
			return err
		}
		for i := range d.components {
			c := &d.components[i]
			for n := range c.across * c.down {
				var coefs [jpegSlots]int32
				if _, err := bits.block(c, &coefs); err != nil {
					return err
				}
				if part == 0 {
					coefs[0] = c.last * int32(d.quant[c.quant][0])
				}
				x, y := mcu%d.columns*c.across+n%c.across, mcu/d.columns*c.down+n/c.across
				for _, v := range coefs {
					sums[i][y*d.columns*c.across+x] += max(v, -v)
				}
			}
		}
	}
	return nil
}
