package pixels

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// pngFile is what a PNG contains (www.w3.org/TR/png-3).
type pngFile struct {
	width, height int
	samples       int    // bytes per pixel, 3 for RGB and 4 for RGBA
	data          []byte // of the IDAT chunks, without the header of zlib
}

// rowBytes returns the size of a row with the byte for its filter.
func (f *pngFile) rowBytes() int { return 1 + f.samples*f.width }

// readPNG reads a PNG up to its last chunk, and verifies the checksums of all chunks. Without
// alpha it supports only RGB.
func readPNG(r io.Reader, alpha bool) (*pngFile, error) {
	c := chunks{r: bufio.NewReaderSize(r, 64<<10)}
	f, err := c.header()
	if err != nil {
		return nil, err
	}
	if f.samples == 4 && !alpha {
		return nil, ErrUnsupported
	}
	if err := c.skipUntil("IDAT"); err != nil {
		return nil, err
	}
	size := f.height * f.rowBytes()
	f.data = make([]byte, 0, size/2+4<<10)
	// Even data that compression does not make smaller has only a few bytes more than the
	// pixels. The decoder tells what is wrong with the beginning of more data.
	for most := 2*size + 64<<10; c.name == "IDAT"; {
		if f.data, err = c.read(f.data, most-len(f.data)); err != nil {
			return nil, err
		}
		if len(f.data) == most {
			return f, f.cutZlib()
		}
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	if err := c.skipUntil("IEND"); err != nil {
		return nil, err
	}
	if c.left > 0 {
		return nil, errors.New("the last chunk is not empty")
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return f, f.cutZlib()
}

// cutZlib verifies and removes the header of the data (RFC 1950, section 2.2).
func (f *pngFile) cutZlib() error {
	const (
		deflate    = 8
		maxWindow  = 7 << 4
		dictionary = 0x20
	)
	if len(f.data) < 2 {
		return errTruncated
	}
	method, flags := f.data[0], f.data[1]
	if method&15 != deflate || method&0xf0 > maxWindow || binary.BigEndian.Uint16(f.data)%31 != 0 {
		return errors.New("the compressed data has an invalid header")
	}
	if flags&dictionary != 0 {
		return ErrUnsupported
	}
	f.data = f.data[2:]
	return nil
}

// chunks reads the chunks of a PNG.
type chunks struct {
	r    *bufio.Reader
	name string // of the current chunk
	left int    // bytes left of its content
	sum  uint32 // CRC-32 of its name and the content that was read
}

// header reads the signature and the first chunk.
func (c *chunks) header() (*pngFile, error) {
	const signature = "\x89PNG\r\n\x1a\n"
	start, err := c.fixed(len(signature))
	if err != nil {
		return nil, err
	}
	if string(start) != signature {
		return nil, ErrUnsupported
	}
	if err := c.start(); err != nil {
		return nil, err
	}
	const size = 13
	if c.name != "IHDR" || c.left != size {
		return nil, ErrUnsupported
	}
	ihdr, err := c.read(nil, size)
	if err != nil {
		return nil, err
	}
	f := pngFile{samples: 3}
	switch string(ihdr[8:]) { // depth, color type, compression, filters, interlacing
	case "\x08\x02\x00\x00\x00":
	case "\x08\x06\x00\x00\x00":
		f.samples = 4
	default:
		return nil, ErrUnsupported
	}
	width, height := binary.BigEndian.Uint32(ihdr), binary.BigEndian.Uint32(ihdr[4:])
	if width == 0 || height == 0 || max(width, height) > MaxSide || width*height > MaxPixels {
		return nil, fmt.Errorf("invalid dimensions %dx%d", width, height)
	}
	f.width, f.height = int(width), int(height)
	return &f, c.next()
}

// skipUntil skips chunks until the current chunk has a name. It fails with ErrUnsupported
// for chunks that change the pixels or that must not be where they are.
func (c *chunks) skipUntil(name string) error {
	for c.name != name {
		switch c.name {
		case "IHDR", "PLTE", "tRNS", "IEND":
			return ErrUnsupported
		}
		for c.left > 0 {
			b, err := c.r.Peek(min(c.left, c.r.Size()))
			if err != nil {
				return unexpected(err)
			}
			c.sum = crc32.Update(c.sum, crc32.IEEETable, b)
			c.left -= len(b)
			_, _ = c.r.Discard(len(b))
		}
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// read appends what is left of the content of the current chunk to b, but at most most
// bytes.
func (c *chunks) read(b []byte, most int) ([]byte, error) {
	const atOnce = 256 << 10 // a file may declare a size that it does not have
	for most = min(most, c.left); most > 0; {
		n := min(most, atOnce)
		b = slices.Grow(b, n+inputPadding) // so that the inflater does not copy all of it
		content := b[len(b) : len(b)+n]
		if _, err := io.ReadFull(c.r, content); err != nil {
			return nil, unexpected(err)
		}
		c.sum = crc32.Update(c.sum, crc32.IEEETable, content)
		b = b[:len(b)+n]
		c.left -= n
		most -= n
	}
	return b, nil
}

// next goes on to the next chunk.
func (c *chunks) next() error {
	if err := c.end(); err != nil {
		return err
	}
	return c.start()
}

// start reads the length and the name of a chunk.
func (c *chunks) start() error {
	head, err := c.fixed(8)
	if err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head)
	if length > math.MaxInt32 {
		return fmt.Errorf("invalid size %d of a chunk", length)
	}
	c.left, c.name, c.sum = int(length), string(head[4:]), crc32.ChecksumIEEE(head[4:])
	return nil
}

// end verifies the checksum of a chunk whose content was read.
func (c *chunks) end() error {
	sum, err := c.fixed(4)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(sum) != c.sum {
		return fmt.Errorf("wrong checksum of a chunk %q", c.name)
	}
	return nil
}

// fixed reads n bytes, which are valid until the next call.
func (c *chunks) fixed(n int) ([]byte, error) {
	b, err := c.r.Peek(n)
	if err != nil {
		return nil, unexpected(err)
	}
	_, err = c.r.Discard(n)
	return b, err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
