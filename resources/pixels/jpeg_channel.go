package pixels

import "math/bits"

// Symbols of AC codes without a coefficient.
const (
	jpegEndOfBlock = 0x00
	jpegZeros      = 0xf0 // 16 zeros
)

// jpegBitString has up to 26 bits in its upper bits and their number in the lower 6 bits.
type jpegBitString uint32

func (s jpegBitString) size() uint   { return uint(s & 63) }
func (s jpegBitString) bits() uint64 { return uint64(s >> 6) }

// jpegChannel encodes the coefficients of luma or chroma. Indices of coefficients are in zigzag
// order.
type jpegChannel struct {
	order [jpegBlockCoefs]uint8 // positions of the coefficients in their block
	// halves are half the divisors of the coefficients, which are 8 times the quantization
	// steps. inverses are the quotients of 1<<jpegInverseBits and the divisors, rounded up.
	halves   [jpegBlockCoefs]int32
	inverses [jpegBlockCoefs]uint64
	// dc and ac are the Huffman codes by symbol. Zero bits follow for the coefficient.
	dc, ac [256]jpegBitString
}

// jpegInverseBits are so many that quotients are exact: the error of an inverse is less than 1,
// so that of a product is less than the dividend, which has 15 bits. It must be less than
// 1<<jpegInverseBits divided by the divisor, which has 11 bits.
const jpegInverseBits = 32

func newJPEGChannel(quant *[jpegBlockCoefs]byte, dc, ac jpegTable) jpegChannel {
	c := jpegChannel{dc: dc.bitStrings(), ac: ac.bitStrings()}
	for i, at := range zigzag() {
		divisor := 8 * uint64(quant[i])
		c.order[i] = uint8(at)
		c.halves[i] = int32(divisor / 2)
		c.inverses[i] = (1<<jpegInverseBits + divisor - 1) / divisor
	}
	return c
}

// divide returns v divided by the divisor of coefficient i, rounded to the nearest integer, and
// away from zero if there are two.
func (c *jpegChannel) divide(v int32, i int) int32 {
	sign := v >> 31 // 0 or -1
	dividend := uint64((v^sign)-sign) + uint64(c.halves[i&63])
	quotient := int32(dividend * c.inverses[i&63] >> jpegInverseBits)
	return (quotient ^ sign) - sign
}

// nonzero returns a bit for each coefficient that is not zero after division, except DC.
func (c *jpegChannel) nonzero(b *jpegBlock) uint64 {
	zeros := uint64(0)
	for i := jpegBlockCoefs - 1; i >= 0; i-- {
		half := c.halves[i]
		// -half < v && v < half, without a branch
		_, zero := bits.Sub64(uint64(uint32(b[c.order[i]&63]+half-1)), uint64(2*half-1), 0)
		zeros, _ = bits.Add64(zeros, zeros, zero)
	}
	return ^zeros &^ 1
}

// code returns the code of a coefficient after a run of zeros, followed by the coefficient
// (section F.1.2).
func (c *jpegChannel) code(codes *[256]jpegBitString, run int, v int32) jpegBitString {
	sign := v >> 31 // 0 or -1
	size := uint(bits.Len32(uint32((v ^ sign) - sign)))
	low := uint32(v+sign) & (1<<(size&31) - 1)
	return codes[uint8(run)<<4|uint8(size)] + jpegBitString(low<<6)
}

// bitStrings returns the codes of a table with zeros for the bits of coefficients (annex C).
func (t jpegTable) bitStrings() (codes [256]jpegBitString) {
	code, index := 0, 0
	for i, count := range t.counts {
		for range count {
			symbol := t.symbols[index]
			size := int(symbol & 15)
			codes[symbol] = jpegBitString(code<<size<<6 | (i + 1 + size))
			code++
			index++
		}
		code <<= 1
	}
	return codes
}
