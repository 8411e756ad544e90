package pixels

import (
	"encoding/binary"
	"io"
	"math/bits"
)

const (
	// jpegMCUBytes is more than the bytes of an MCU: 6 blocks of 64 coefficients, each of which
	// takes at most 27 bits, which may be twice as many after stuffing.
	jpegMCUBytes    = 6 * jpegBlockCoefs * 8
	jpegBufferBytes = 32 << 10
)

// jpegEncoder writes the blocks of a JPEG.
type jpegEncoder struct {
	w            io.Writer
	luma, chroma jpegChannel
	lastDC       [3]int32 // of Y, Cb and Cr

	acc uint64 // the last n bits are not in buf yet; there are less than 32
	n   uint
	buf [jpegBufferBytes]byte
	pos int // end of the bytes in buf
}

// write writes the buffer.
func (e *jpegEncoder) write() error {
	_, err := e.w.Write(e.buf[:e.pos])
	e.pos = 0
	return err
}

// block encodes the samples of a block. It overwrites them.
func (e *jpegEncoder) block(b *jpegBlock, c *jpegChannel, lastDC *int32) {
	fdct(b)
	dc := c.divide(b[0], 0)
	code := c.code(&c.dc, 0, dc-*lastDC)
	*lastDC = dc
	acc, n := e.put(e.acc, e.n, code)
	last := 0 // index of the last coefficient that was written
	for rest := c.nonzero(b); rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		run := i - last - 1
		last = i
		for ; run > 15; run -= 16 {
			acc, n = e.put(acc, n, c.ac[jpegZeros])
		}
		acc, n = e.put(acc, n, c.code(&c.ac, run, c.divide(b[c.order[i&63]&63], i)))
	}
	if last < jpegBlockCoefs-1 {
		acc, n = e.put(acc, n, c.ac[jpegEndOfBlock])
	}
	e.acc, e.n = acc, n
}

// put adds a code to the n bits of acc.
func (e *jpegEncoder) put(acc uint64, n uint, code jpegBitString) (uint64, uint) {
	acc = acc<<(code.size()&63) | code.bits()
	n += code.size()
	if n >= 32 {
		n -= 32
		e.flush(uint32(acc >> (n & 63)))
	}
	return acc, n
}

// flush adds 32 bits to the buffer. It adds a zero after each byte 0xff (section B.1.1.5).
func (e *jpegEncoder) flush(v uint32) {
	const lowest, highest = 0x01010101, 0x80808080 // bits of each byte
	if (^v-lowest)&v&highest == 0 {                // no byte is 0xff
		binary.BigEndian.PutUint32(e.buf[e.pos:], v)
		e.pos += 4
		return
	}
	for shift := 24; shift >= 0; shift -= 8 {
		e.flushByte(byte(v >> shift))
	}
}

func (e *jpegEncoder) flushByte(b byte) {
	e.buf[e.pos] = b
	e.pos++
	if b == 0xff {
		e.buf[e.pos] = 0
		e.pos++
	}
}

// finish adds the remaining bits, which it fills up to whole bytes with ones, and the end of
// the image.
func (e *jpegEncoder) finish() {
	const fill = 7
	acc, n := e.acc<<fill|(1<<fill-1), e.n+fill
	for ; n >= 8; n -= 8 {
		e.flushByte(byte(acc >> (n - 8)))
	}
	e.pos += copy(e.buf[e.pos:], []byte{0xff, jpegEOI})
}
