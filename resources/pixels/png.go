package pixels

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"

	"github.com/klauspost/compress/zlib"
)

// ShrinkPNG decodes a PNG row by row and scales it down like Shrink. Compared
// with decoding by the standard library followed by Shrink, it takes 0.4 to 0.8
// of the CPU time and 0.07 to 0.22 of the memory (BenchmarkShrinkPNG). It
// supports the variant that the models generate, 8-bit RGB without interlacing,
// and fails with ErrUnsupported for all others.
func ShrinkPNG(r io.Reader, limit int) (image.Image, error) {
	rows, err := openPNG(r)
	if err != nil {
		return nil, err
	}
	width, height := Fit(rows.width, rows.height, limit)
	k := max(1, min(rows.width/width, rows.height/height))
	p := newPlane(rows.width/k, rows.height/k, 4)
	sums := make([]uint32, p.width*3)
	for y := range p.height {
		clear(sums)
		for range k {
			row, err := rows.next()
			if err != nil {
				return nil, err
			}
			addRow(sums, row, k)
		}
		mean(p.pix[y*p.stride:][:p.stride], sums, uint32(k*k))
	}
	if err := rows.finish(p.height * k); err != nil {
		return nil, err
	}
	p = p.bilinear(width, height)
	return &image.RGBA{Pix: p.pix, Stride: p.stride, Rect: image.Rect(0, 0, width, height)}, nil
}

// addRow adds k adjacent pixels of an RGB row to each sum.
func addRow(sums []uint32, row []byte, k int) {
	if k == 2 {
		for i := 0; i+3 <= len(sums); i += 3 {
			s, p := sums[i:i+3], row[2*i:2*i+6]
			s[0] += uint32(p[0]) + uint32(p[3])
			s[1] += uint32(p[1]) + uint32(p[4])
			s[2] += uint32(p[2]) + uint32(p[5])
		}
		return
	}
	for i := 0; i+3 <= len(sums); i += 3 {
		for _, p := 0, row[k*i:k*i+3*k]; len(p) >= 3; p = p[3:] {
			sums[i] += uint32(p[0])
			sums[i+1] += uint32(p[1])
			sums[i+2] += uint32(p[2])
		}
	}
}

// mean writes an RGBA row from sums over area pixels.
func mean(out []byte, sums []uint32, area uint32) {
	for i, o := 0, 0; i+3 <= len(sums); i, o = i+3, o+4 {
		s, p := sums[i:i+3], out[o:o+4]
		p[0] = byte((s[0] + area/2) / area)
		p[1] = byte((s[1] + area/2) / area)
		p[2] = byte((s[2] + area/2) / area)
		p[3] = 255
	}
}

// pngRows reads a PNG row by row (www.w3.org/TR/png-3).
type pngRows struct {
	width, height int
	pixels        io.Reader // inflated
	row, above    []byte    // without the filter byte
}

func openPNG(r io.Reader) (*pngRows, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	var head [8 + 8 + 13 + 4]byte
	if _, err := io.ReadFull(b, head[:]); err != nil {
		return nil, err
	}
	ihdr := head[16:29]
	width, height := binary.BigEndian.Uint32(ihdr[0:4]), binary.BigEndian.Uint32(ihdr[4:8])
	const depth8RGBPlain = "\x08\x02\x00\x00\x00"
	if string(head[12:16]) != "IHDR" || string(ihdr[8:13]) != depth8RGBPlain {
		return nil, ErrUnsupported
	}
	if width == 0 || height == 0 || max(width, height) > MaxSide || uint64(width)*uint64(height) > MaxPixels {
		return nil, fmt.Errorf("invalid dimensions %dx%d", width, height)
	}
	data := &idat{r: b}
	if err := data.first(); err != nil {
		return nil, err
	}
	inflated, err := zlib.NewReader(data)
	if err != nil {
		return nil, err
	}
	w := int(width)
	return &pngRows{width: w, height: int(height), pixels: inflated, row: make([]byte, 3*w), above: make([]byte, 3*w)}, nil
}

// next returns the next row, which is valid until the next call.
func (p *pngRows) next() ([]byte, error) {
	var filter [1]byte
	if _, err := io.ReadFull(p.pixels, filter[:]); err != nil {
		return nil, fmt.Errorf("reading pixels: %w", err)
	}
	p.row, p.above = p.above, p.row
	if _, err := io.ReadFull(p.pixels, p.row); err != nil {
		return nil, fmt.Errorf("reading pixels: %w", err)
	}
	return p.row, unfilter(filter[0], p.row, p.above)
}

// finish reads the rest of the data, which verifies its checksum. done is the
// number of rows that were read.
func (p *pngRows) finish(done int) error {
	for ; done < p.height; done++ {
		if _, err := p.next(); err != nil {
			return err
		}
	}
	// One more byte is enough to check that the data ends here; the rest could
	// inflate to gigabytes.
	switch _, err := io.CopyN(io.Discard, p.pixels, 1); {
	case err == nil:
		return errors.New("data after the last row of pixels")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// unfilter reverses the filters of section 9 of the PNG specification for three
// bytes per pixel.
func unfilter(filter byte, row, above []byte) error {
	const bpp = 3
	switch filter {
	case 0:
	case 1:
		for i := bpp; i < len(row); i++ {
			row[i] += row[i-bpp]
		}
	case 2:
		for i, up := range above {
			row[i] += up
		}
	case 3:
		for i := range min(bpp, len(row)) {
			row[i] += above[i] / 2
		}
		for i := bpp; i < len(row); i++ {
			row[i] += byte((int(row[i-bpp]) + int(above[i])) / 2)
		}
	case 4:
		paeth(row, above)
	default:
		return fmt.Errorf("unknown filter %d", filter)
	}
	return nil
}

// paeth reverses the Paeth filter.
func paeth(row, above []byte) {
	for c := range 3 {
		left, corner := 0, 0
		for i := c; i < len(row); i += 3 {
			up := int(above[i])
			pa, pb := up-corner, left-corner
			pc := abs(pa + pb)
			pa, pb = abs(pa), abs(pb)
			guess := corner
			if pa <= pb && pa <= pc {
				guess = left
			} else if pb <= pc {
				guess = up
			}
			row[i] += byte(guess)
			left, corner = int(row[i]), up
		}
	}
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// idat reads the concatenated content of the IDAT chunks.
type idat struct {
	r    *bufio.Reader
	left int64 // bytes left in the current chunk
}

// first skips to the first IDAT chunk. It fails with ErrUnsupported for a PNG
// with transparency.
func (d *idat) first() error {
	for {
		name, err := d.header()
		switch {
		case err != nil:
			return err
		case name == "IDAT":
			return nil
		case name == "tRNS" || name == "IEND":
			return ErrUnsupported
		}
		if _, err := io.CopyN(io.Discard, d.r, d.left+4); err != nil {
			return err
		}
	}
}

// header reads the length and the name of a chunk.
func (d *idat) header() (name string, err error) {
	var head [8]byte
	if _, err := io.ReadFull(d.r, head[:]); err != nil {
		return "", err
	}
	d.left = int64(binary.BigEndian.Uint32(head[:4]))
	return string(head[4:]), nil
}

// Read implements io.Reader. It does not verify the checksums of the chunks, because
// the compressed data has its own.
func (d *idat) Read(b []byte) (int, error) {
	for d.left == 0 {
		if _, err := d.r.Discard(4); err != nil {
			return 0, err
		}
		if name, err := d.header(); err != nil || name != "IDAT" {
			return 0, io.ErrUnexpectedEOF
		}
	}
	n, err := d.r.Read(b[:min(int64(len(b)), d.left)])
	d.left -= int64(n)
	return n, err
}
