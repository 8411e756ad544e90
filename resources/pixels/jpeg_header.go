package pixels

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// jpegComponent is one channel of a JPEG.
type jpegComponent struct {
	id     byte
	across int // blocks in an MCU in each direction
	down   int
	quant  byte // index of its quantization table
	dc, ac *jpegCodes
	steps  jpegSteps
	last   int32 // DC coefficient of the last block
	plane  plane // decoded pixels at the reduced size
}

// frame processes a frame header (section B.2.2).
func (d *jpegDecoder) frame(body []byte, baseline bool) error {
	if d.components != nil {
		return errors.New("the JPEG has several frames")
	}
	if len(body) != 9 && len(body) != 15 || body[0] != 8 || 6+3*int(body[5]) != len(body) {
		return ErrUnsupported
	}
	d.baseline = baseline
	d.height, d.width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	if d.width == 0 || d.height == 0 || max(d.width, d.height) > MaxSide || d.width*d.height > MaxPixels {
		return fmt.Errorf("invalid dimensions %dx%d", d.width, d.height)
	}
	d.targetW, d.targetH = Fit(d.width, d.height, d.limit)
	for d.scale = 8; d.width < d.scale*d.targetW || d.height < d.scale*d.targetH; {
		d.scale /= 2
	}
	if d.scale == 1 {
		return ErrUnsupported
	}
	for b := body[6:]; len(b) >= 3; b = b[3:] {
		c := jpegComponent{id: b[0], across: int(b[1] >> 4), down: int(b[1] & 15), quant: b[2]}
		for _, other := range d.components {
			if c.id == other.id {
				return errors.New("two components have the same identifier")
			}
		}
		if c.quant >= maxJPEGQuant {
			return errors.New("invalid quantization table")
		}
		d.components = append(d.components, c)
	}
	if !d.sampled() {
		return ErrUnsupported
	}
	luma := d.components[0]
	d.columns = (d.width + jpegBlockSide*luma.across - 1) / (jpegBlockSide * luma.across)
	d.rows = (d.height + jpegBlockSide*luma.down - 1) / (jpegBlockSide * luma.down)
	return nil
}

// sampled reports whether the sampling factors are supported: the color components have
// the same ones, which divide those of the luma component. A single component has no
// MCUs of several blocks, whatever its factors are.
func (d *jpegDecoder) sampled() bool {
	luma := &d.components[0]
	if luma.across == 0 || luma.across == 3 || luma.across > 4 || luma.down == 0 || luma.down > 2 {
		return false
	}
	if len(d.components) == 1 {
		luma.across, luma.down = 1, 1
		return true
	}
	blocks := luma.across * luma.down
	for _, c := range d.components[1:] {
		if c.across == 0 || c.down == 0 || luma.across%c.across != 0 || luma.down%c.down != 0 {
			return false
		}
		if c.across != d.components[1].across || c.down != d.components[1].down {
			return false
		}
		blocks += c.across * c.down
	}
	const maxBlocks = 10 // in an MCU, section B.2.3
	return blocks <= maxBlocks
}

// subsampling returns how many pixels share one color value in each direction.
func (d *jpegDecoder) subsampling() (across, down int) {
	luma, color := d.components[0], d.components[len(d.components)-1]
	return luma.across / color.across, luma.down / color.down
}

// quantTables processes quantization tables (section B.2.4.1). It supports the precision
// of 8 bits, which is the only one for baseline JPEGs.
func (d *jpegDecoder) quantTables(b []byte) error {
	for len(b) > 0 {
		table := b[0]
		if table >= maxJPEGQuant || len(b) < 1+jpegBlockCoefs {
			return ErrUnsupported
		}
		copy(d.quant[table][:], b[1:])
		b = b[1+jpegBlockCoefs:]
	}
	return nil
}

// huffmanTables processes Huffman tables (section B.2.4.2).
func (d *jpegDecoder) huffmanTables(b []byte) error {
	for len(b) > 0 {
		if len(b) < 1+jpegCodeBits {
			return io.ErrUnexpectedEOF
		}
		class, id := b[0]>>4, b[0]&15
		if class > 1 || id >= maxJPEGTables || d.baseline && id > 1 {
			return errors.New("invalid Huffman table")
		}
		n := 0
		for _, count := range b[1 : 1+jpegCodeBits] {
			n += int(count)
		}
		if n == 0 || n > 256 || len(b) < 1+jpegCodeBits+n {
			return errors.New("invalid length of a Huffman table")
		}
		d.tables[class][id] = jpegTable{counts: b[1 : 1+jpegCodeBits], symbols: b[1+jpegCodeBits:][:n]}
		b = b[1+jpegCodeBits+n:]
	}
	return nil
}

// scanHeader processes the header of a scan (section B.2.3) and prepares decoding it.
func (d *jpegDecoder) scanHeader(body []byte) error {
	n := len(d.components)
	if n == 0 {
		return errors.New("the JPEG has a scan without a frame")
	}
	if d.scanned || len(body) != 4+2*n || int(body[0]) != n || d.isRGB() {
		return ErrUnsupported
	}
	d.scanned = true
	var built [2][maxJPEGTables]*jpegCodes
	codes := func(class, id byte) (*jpegCodes, error) {
		if id >= maxJPEGTables || d.baseline && id > 1 {
			return nil, errors.New("invalid Huffman table")
		}
		if built[class][id] != nil {
			return built[class][id], nil
		}
		codes, err := d.tables[class][id].codes(class)
		built[class][id] = codes
		return codes, err
	}
	side := jpegBlockSide / d.scale
	for i := range d.components {
		c := &d.components[i]
		if body[1+2*i] != c.id {
			return ErrUnsupported
		}
		var err error
		if c.dc, err = codes(0, body[2+2*i]>>4); err != nil {
			return err
		}
		if c.ac, err = codes(1, body[2+2*i]&15); err != nil {
			return err
		}
		c.steps = newJPEGSteps(&d.quant[c.quant], side)
		c.plane = newPlane(d.columns*c.across*side, d.rows*c.down*side, 1)
	}
	return nil
}
