package pixels

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
)

// maxBox is the largest side of a box in pixels whose sums have 16 bits.
const maxBox = 16

// ShrinkPNG decodes a PNG row by row and scales it down like Shrink. It supports the variant
// that the models generate, 8-bit RGB without interlacing, and fails with ErrUnsupported for
// all others. It is like DecodePNG otherwise.
func ShrinkPNG(r io.Reader, limit int) (image.Image, error) {
	p, err := readPNG(r, false)
	if err != nil {
		return nil, err
	}
	width, height := Fit(p.width, p.height, limit)
	k := max(1, min(p.width/width, p.height/height))
	if k > maxBox {
		return nil, ErrUnsupported
	}
	box := newPlane(p.width/k, p.height/k, 4)
	if err := p.shrink(box, k); err != nil {
		return nil, err
	}
	box = box.bilinear(width, height)
	return &image.RGBA{Pix: box.pix, Stride: box.stride, Rect: image.Rect(0, 0, width, height)}, nil
}

// DecodePNG decodes a PNG like png.Decode, which takes 2 to 3 times as long. It supports
// 8-bit RGB and RGBA without interlacing and without a palette, and fails with
// ErrUnsupported for other variants, and for files with chunks in an unusual order, a preset
// dictionary, too many blocks of compressed data, or bytes after its checksum.
//
// It does not verify the Adler-32 checksum of the pixels, only the CRC-32 of each chunk,
// which covers the same data.
func DecodePNG(r io.Reader) (image.Image, error) {
	p, err := readPNG(r, true)
	if err != nil {
		return nil, err
	}
	stride := 4 * p.width
	pix := make([]byte, stride*p.height)
	rows := p.rows()
	for y := range p.height {
		if err := rows.next(pix[y*stride:][:stride]); err != nil {
			return nil, err
		}
	}
	if err := rows.finish(); err != nil {
		return nil, err
	}
	rect := image.Rect(0, 0, p.width, p.height)
	if p.samples == 3 {
		return &image.RGBA{Pix: pix, Stride: stride, Rect: rect}, nil
	}
	return &image.NRGBA{Pix: pix, Stride: stride, Rect: rect}, nil
}

// shrink decodes the pixels and averages squares of k by k.
func (p *pngFile) shrink(dst plane, k int) error {
	rows := p.rows()
	buffers := make([]byte, 2*4*p.width)
	upper, lower := buffers[:4*p.width], buffers[4*p.width:]
	sums := make([]uint64, dst.width)
	for y := range dst.height {
		out := dst.pix[y*dst.stride:][:dst.stride]
		switch k {
		case 1:
			if err := rows.next(out); err != nil {
				return err
			}
			continue
		case 2:
			if err := rows.next(upper); err != nil {
				return err
			}
			if err := rows.next(lower); err != nil {
				return err
			}
			halve(out, upper, lower)
			continue
		}
		clear(sums)
		for range k {
			if err := rows.next(upper); err != nil {
				return err
			}
			addRow(sums, upper, k)
			upper, lower = lower, upper
		}
		mean(out, sums, uint32(k*k))
	}
	for range p.height - dst.height*k {
		if err := rows.next(upper); err != nil {
			return err
		}
		upper, lower = lower, upper
	}
	return rows.finish()
}

// addRow adds k adjacent opaque pixels of an RGBA row to each sum, which has 16 bits for red,
// blue, green and alpha each.
func addRow(sums []uint64, row []byte, k int) {
	for i := range sums {
		var rb, ga uint64 // of two pixels
		p := row[4*k*i : 4*k*(i+1)]
		for ; len(p) >= 8; p = p[8:] {
			v := binary.LittleEndian.Uint64(p)
			rb += v & evenBytes
			ga += v >> 8 & evenBytes
		}
		if len(p) >= 4 {
			v := uint64(binary.LittleEndian.Uint32(p))
			rb += v & evenBytes
			ga += v >> 8 & evenBytes
		}
		sums[i] += (rb+rb>>32)&0xffffffff | (ga+ga>>32)<<32
	}
}

// mean writes an opaque RGBA row from sums over area pixels.
func mean(out []byte, sums []uint64, area uint32) {
	for i, sum := range sums {
		p := out[4*i : 4*i+4]
		p[0] = byte((uint32(sum&0xffff) + area/2) / area)
		p[1] = byte((uint32(sum>>32&0xffff) + area/2) / area)
		p[2] = byte((uint32(sum>>16&0xffff) + area/2) / area)
		p[3] = 255
	}
}

// pngRows decodes the pixels of a PNG row by row.
type pngRows struct {
	data    *inflater
	samples int
	width   int
	above   []byte // the row above the next one
}

func (p *pngFile) rows() *pngRows {
	return &pngRows{
		data: newInflater(p.data, p.rowBytes(), p.height*p.rowBytes()), samples: p.samples, width: p.width,
		above: make([]byte, 4*p.width),
	}
}

// next decodes the next row into row, as RGBA. It needs the previous one unchanged.
func (p *pngRows) next(row []byte) error {
	filtered, err := p.data.next(1 + p.samples*p.width)
	if err != nil {
		return fmt.Errorf("reading pixels: %w", err)
	}
	if err := unfilter(filtered[0], row, filtered[1:], p.above, p.samples); err != nil {
		return err
	}
	p.above = row
	return nil
}

// finish verifies that the data ends after the last row. It does not decompress more than
// a few rows to find out, because data that follows could be gigabytes.
func (p *pngRows) finish() error {
	const checksum = 4 // bytes
	switch rest, err := p.data.rest(); {
	case errors.Is(err, errMore):
		return errors.New("data after the last row of pixels")
	case err != nil:
		return err
	case len(rest) < checksum:
		return errTruncated
	case len(rest) > checksum:
		return ErrUnsupported // package png accepts it in some places
	}
	return nil
}
