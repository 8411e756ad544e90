package pixels

import (
	"encoding/binary"
	"io"
)

// jpegBits reads the bits of a scan.
type jpegBits struct {
	data  []byte
	start int    // position of the first byte after a marker
	pos   int    // position of the next byte
	acc   uint64 // unread bits, the first one at the top
	n     uint   // number of unread bits
	// missing is the number of bits at the end of acc that are not in the file, because
	// a marker or the end of the file precedes them.
	missing uint
}

// refill adds bits to acc until at least 56 of n are valid. More bits may be set, which
// are those of the next byte.
func (b *jpegBits) refill(acc uint64, n uint) (uint64, uint) {
	if b.pos+8 <= len(b.data) {
		v := binary.BigEndian.Uint64(b.data[b.pos:])
		const lowest, highest = 0x0101010101010101, 0x8080808080808080 // bits of each byte
		if (^v-lowest)&v&highest == 0 {                                // no byte is 0xff
			b.pos += int(63-n) >> 3
			return acc | v>>(n&63), n | 56
		}
	}
	return b.refillBytes(acc, n)
}

// refillBytes is like refill, but handles escaped bytes and the end of the data.
func (b *jpegBits) refillBytes(acc uint64, n uint) (uint64, uint) {
	for ; n <= 56; n += 8 {
		c := byte(0)
		switch {
		case b.pos < len(b.data) && b.data[b.pos] != 0xff:
			c = b.data[b.pos]
			b.pos++
		case b.pos+1 < len(b.data) && b.data[b.pos+1] == 0:
			c = 0xff
			b.pos += 2
		default:
			b.missing += 8
		}
		acc |= uint64(c) << (56 - n)
	}
	return acc, n
}

// end returns the position after the last byte of which a bit was read.
func (b *jpegBits) end() int {
	pos := b.pos
	for unread := (b.n - b.missing) / 8; unread > 0; unread-- {
		if pos--; pos-1 >= b.start && b.data[pos] == 0 && b.data[pos-1] == 0xff {
			pos--
		}
	}
	return pos
}

// restart moves behind a restart marker. It fails with ErrUnsupported if there is none:
// the standard library may find it later.
func (b *jpegBits) restart(marker byte) error {
	pos := b.end()
	if pos+2 > len(b.data) || b.data[pos] != 0xff || b.data[pos+1] != marker {
		return ErrUnsupported
	}
	*b = jpegBits{data: b.data, start: pos + 2, pos: pos + 2}
	return nil
}

// block reads the coefficients of a block, multiplies them by steps and adds them up in
// coefs, without the DC coefficient. It reports whether they are all zero.
func (b *jpegBits) block(c *jpegComponent, coefs *[jpegSlots]int32) (flat bool, err error) {
	acc, n := b.acc, b.n
	if n < 32 {
		acc, n = b.refill(acc, n)
	}
	code := c.dc.short[acc>>(64-jpegShortBits)]
	if code == 0 {
		if code, err = c.dc.long(acc); err != nil {
			return false, err
		}
	}
	c.last += code.value(acc)
	acc, n = acc<<code.bits(), n-code.bits()
	at := uint8(0) // index of the coefficient in zigzag order
	for at < jpegBlockCoefs-1 {
		if n < 32 {
			acc, n = b.refill(acc, n)
		}
		code := c.ac.short[acc>>(64-jpegShortBits)]
		if code == 0 {
			if code, err = c.ac.long(acc); err != nil {
				return false, err
			}
		}
		at += code.forward()
		step := c.steps[at]
		coefs[step&(jpegSlots-1)] += code.value(acc) * (step >> jpegSlotBits)
		acc, n = acc<<code.bits(), n-code.bits()
	}
	if at >= jpegBlockCoefs && at < jpegEnd {
		return false, ErrUnsupported // a coefficient after the last one, which others ignore
	}
	if n < b.missing {
		return false, io.ErrUnexpectedEOF
	}
	b.acc, b.n = acc, n
	return at == jpegEnd, nil
}
