package pixels

import "errors"

const (
	jpegCodeBits  = 16  // of the longest Huffman code
	jpegShortBits = 10  // of the codes in the lookup table
	jpegMaxDC     = 11  // bits of a DC difference of 8-bit samples
	jpegMaxAC     = 10  // bits of an AC coefficient of 8-bit samples
	jpegEnd       = 128 // more than any index of a coefficient
)

// jpegTable is a Huffman table as in the file.
type jpegTable struct {
	counts  []byte // of codes of 1 to 16 bits
	symbols []byte
}

// jpegCode describes a Huffman code and the bits of the coefficient that follow it:
//
//   - bits 0-5: number of bits of both
//   - bits 6-9: number of bits of the coefficient, or 0 if the value is known
//   - bits 10-17: how many coefficients it moves forward; jpegEnd at the end of a block
//   - bits 18-31: value of the coefficient, signed
//
// Zero stands for a code that is not in the lookup table.
type jpegCode uint32

func (c jpegCode) bits() uint     { return uint(c & 63) }
func (c jpegCode) size() uint     { return uint(c >> 6 & 15) }
func (c jpegCode) forward() uint8 { return uint8(c >> 10) } // without the value above

// value returns the value of the coefficient. bits starts with the code.
func (c jpegCode) value(bits uint64) int32 {
	size := c.size()
	if size == 0 {
		return int32(c) >> 18
	}
	return jpegExtend(bits<<(c.bits()-size&63), size)
}

// jpegExtend returns the coefficient in the first bits (section F.2.2.1).
func jpegExtend(bits uint64, size uint) int32 {
	v := int32(bits >> ((64 - size) & 63))
	if int64(bits) >= 0 {
		v -= 1<<(size&31) - 1
	}
	return v
}

// jpegCodes decodes a Huffman table.
type jpegCodes struct {
	short   [1 << jpegShortBits]jpegCode
	class   byte
	symbols []byte
	// ends are the first codes that are longer than 1 to 16 bits, followed by zeros to 16
	// bits, and offsets are the indices of symbols minus their codes.
	ends    [jpegCodeBits + 1]uint32
	offsets [jpegCodeBits + 1]int
}

// codes returns a table for decoding. class is 0 for DC and 1 for AC.
func (t jpegTable) codes(class byte) (*jpegCodes, error) {
	if len(t.symbols) == 0 {
		return nil, ErrUnsupported // the standard library fails only if it needs the table
	}
	c := &jpegCodes{class: class, symbols: t.symbols}
	code, index := 0, 0
	for i, count := range t.counts {
		length := i + 1
		code <<= 1
		c.offsets[length] = index - code
		for range count {
			if code >= 1<<length {
				return nil, ErrUnsupported // more codes than bits can express
			}
			if length <= jpegShortBits {
				c.add(code, uint(length), t.symbols[index])
			}
			code++
			index++
		}
		c.ends[length] = uint32(code) << (jpegCodeBits - length)
	}
	return c, nil
}

// add adds a code to the lookup table. It adds the value too if all its bits are in the
// index.
func (c *jpegCodes) add(code int, length uint, symbol byte) {
	entry, ok := c.entry(length, symbol)
	if !ok {
		return
	}
	free := jpegShortBits - length
	first := code << free
	size := entry.size()
	for i := range 1 << free {
		e := entry
		if size > 0 && size <= free {
			value := jpegExtend(uint64(i)<<(64-free), size)
			e = e&^(15<<6) | jpegCode(value)<<18
		}
		c.short[first+i] = e
	}
}

// entry describes a code without its value. It reports false for symbols that no encoder
// writes for samples of 8 bits.
func (c *jpegCodes) entry(length uint, symbol byte) (jpegCode, bool) {
	run, size := uint(symbol>>4), uint(symbol&15)
	forward := run + 1
	switch {
	case c.class == 0:
		if symbol > jpegMaxDC {
			return 0, false
		}
	case symbol == jpegEndOfBlock:
		forward = jpegEnd
	case size > jpegMaxAC, size == 0 && symbol != jpegZeros:
		return 0, false
	}
	return jpegCode(length + size | size<<6 | forward<<10), true
}

// long finds a code that is not in the lookup table.
func (c *jpegCodes) long(bits uint64) (jpegCode, error) {
	code := uint32(bits >> (64 - jpegCodeBits))
	for length := 1; length <= jpegCodeBits; length++ {
		if code >= c.ends[length] {
			continue
		}
		symbol := c.symbols[int(code>>(jpegCodeBits-length))+c.offsets[length]]
		entry, ok := c.entry(uint(length), symbol)
		if !ok {
			return 0, ErrUnsupported
		}
		return entry, nil
	}
	return 0, errors.New("invalid Huffman code")
}
