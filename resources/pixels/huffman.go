package pixels

import "math/bits"

// Limits of the alphabets of DEFLATE (RFC 1951, section 3.2.7).
const (
	maxCodeBits   = 15
	litSymbols    = 286
	distSymbols   = 30
	lengthSymbols = 19 // of the code for the code lengths
)

// A table decodes a Huffman code. It is indexed by the next bits of the input, of which
// there are as many as the base-2 logarithm of its first part. Codes that are longer
// continue in a second part, at the offset in a link.
//
// An entry consists of, from the lowest bit:
//
//	6 bits  how many bits of the input it stands for, with the extra bits
//	2 bits  how many literals it stands for, 0 for other symbols
//	24 bits the literals, the first one lowest
//
// or, for other symbols:
//
//	4 bits  how many of the bits belong to the code, without the extra bits
//	16 bits the length or distance without the extra bits, or the offset of a link
//	4 bits  flags
const (
	entryBits     = 1<<6 - 1
	entryLiteral  = 1 << 6
	entryLiterals = 3 << 6
	entryCode     = 8  // position
	entryValue    = 12 // position
	entryLink     = 1 << 29
	entryEnd      = 1 << 30 // of the block
	entrySpecial  = 1 << 31 // a link, the end of a block or an invalid code
	entryInvalid  = entrySpecial
)

const (
	litBits    = 11
	distBits   = 8
	lengthBits = 7

	// At least two codes share the first bits of a link.
	litTable    = 1<<litBits + litSymbols/2<<(maxCodeBits-litBits)
	distTable   = 1<<distBits + distSymbols/2<<(maxCodeBits-distBits)
	lengthTable = 1 << lengthBits
)

// buildTable fills a table, whose first part is indexed by width bits, for a code with
// the given lengths of codes, 0 for symbols without a code. entry returns the entry of a
// symbol except its bits of the code. It returns false for a code that is not complete,
// unless it is empty or consists of one code of one bit.
func buildTable(table []uint32, width int, lengths []uint8, entry func(symbol int) uint32) bool {
	var count, start [maxCodeBits + 2]int
	for _, n := range lengths {
		count[n]++
	}
	count[0] = 0
	used, longest := 0, 0 // used is in codes of maxCodeBits
	for n := 1; n <= maxCodeBits; n++ {
		start[n+1] = start[n] + count[n]
		used += count[n] << (maxCodeBits - n)
		if count[n] > 0 {
			longest = n
		}
	}
	if used < 1<<maxCodeBits && longest <= 1 {
		for i := range 1 << width {
			table[i] = entryInvalid
		}
	} else if used != 1<<maxCodeBits {
		return false
	}
	var sorted [288]uint16
	for symbol, n := range lengths {
		if n > 0 {
			sorted[start[n]] = uint16(symbol)
			start[n]++
		}
	}
	fill(table, width, longest, &count, sorted[:], entry)
	return true
}

// fill assigns the codes to symbols, which are sorted by the lengths of their codes.
func fill(table []uint32, width, longest int, count *[maxCodeBits + 2]int, sorted []uint16, entry func(int) uint32) {
	code := 0
	for n := 1; n <= width; n++ {
		// The codes of n bits are entries below 1<<n. Those that are not assigned
		// yet repeat with every further bit, as shorter codes do.
		half := 1 << (n - 1)
		copy(table[half:2*half], table[:half])
		for range count[n] {
			table[reverse(code, n)] = withCode(entry(int(sorted[0])), n)
			sorted = sorted[1:]
			code++
		}
		code <<= 1
	}
	second, next := longest-width, 1<<width // bits of a link's index, free entry
	for n := width + 1; n <= longest; n++ {
		for range count[n] {
			at := reverse(code, n)
			first := at & (1<<width - 1)
			if code<<(longest-n)&(1<<second-1) == 0 {
				table[first] = entrySpecial | entryLink | uint32(next)<<entryValue | uint32(second)<<entryCode
				next += 1 << second
			}
			link := int(table[first] >> entryValue & 0xffff)
			value := withCode(entry(int(sorted[0])), n)
			for i := at >> width; i < 1<<second; i += 1 << (n - width) {
				table[link+i] = value
			}
			sorted = sorted[1:]
			code++
		}
		code <<= 1
	}
}

// reverse returns the lowest n bits in reverse order.
func reverse(code, n int) int {
	return int(bits.Reverse16(uint16(code)) >> (16 - n))
}

// withCode adds a code of n bits to the entry of a symbol.
func withCode(e uint32, n int) uint32 {
	if e&entryLiterals == 0 {
		e += uint32(n) << entryCode
	}
	return e + uint32(n)
}

// joinLiterals lets the entries of a table of literals and lengths stand for up to three
// literals, if their codes are short enough.
func joinLiterals(table *[litTable]uint32) {
	// The entry for the bits after a literal is at a lower index, and so it still stands
	// for a single symbol. The entry 0 may follow itself.
	for i := 1<<litBits - 1; i >= 0; i-- {
		e := table[i]
		n := e & entryBits
		if e&entryLiterals == 0 {
			continue
		}
		second := table[i>>n]
		n += second & entryBits
		if second&entryLiterals == 0 || n > litBits {
			continue
		}
		e = e&0xff00 | second&0xff00<<8 | 2*entryLiteral
		if third := table[i>>n]; third&entryLiterals != 0 && n+third&entryBits <= litBits {
			n += third & entryBits
			e += third&0xff00<<16 + entryLiteral
		}
		table[i] = e | n
	}
}

// litEntry returns the entry of a literal or a length.
func litEntry(symbol int) uint32 {
	switch {
	case symbol < 256:
		return entryLiteral | uint32(symbol)<<8
	case symbol == 256:
		return entrySpecial | entryEnd
	case symbol < 265:
		return uint32(symbol-254) << entryValue
	case symbol < 285:
		extra := (symbol - 261) / 4
		return uint32((4+(symbol-261)%4)<<extra+3)<<entryValue | uint32(extra)
	case symbol == 285:
		return 258 << entryValue
	default:
		return entryInvalid
	}
}

// distEntry returns the entry of a distance.
func distEntry(symbol int) uint32 {
	switch {
	case symbol < 4:
		return uint32(symbol+1) << entryValue
	case symbol < distSymbols:
		extra := symbol/2 - 1
		return uint32((2+symbol%2)<<extra+1)<<entryValue | uint32(extra)
	default:
		return entryInvalid
	}
}

// lengthEntry returns the entry of a symbol of the code for the code lengths.
func lengthEntry(symbol int) uint32 { return uint32(symbol) << entryValue }
