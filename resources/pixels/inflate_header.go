package pixels

import "encoding/binary"

// take returns the next count bits, up to 14. Bits behind the end of the input are 0.
func (f *inflater) take(count int) int {
	f.refill()
	v := f.bits & (1<<count - 1)
	f.bits >>= count
	f.have -= uint64(count)
	return int(v)
}

// refill provides at least 56 bits, but none further behind the end than the padding; then
// overrun fails.
func (f *inflater) refill() {
	if f.pos > f.end+8 {
		return
	}
	f.bits, f.pos, f.have = refilled(f.in, f.bits, f.pos, f.have)
}

// startBlock reads the header of a block.
func (f *inflater) startBlock() error {
	f.final = f.take(1) == 1
	switch f.take(2) {
	case 0:
		return f.startStored()
	case 1:
		f.coded = true
		f.fixedTables()
	case 2:
		f.coded = true
		f.fixed = false
		if err := f.readTables(); err != nil {
			return err
		}
	default:
		return errCorrupt
	}
	return f.overrun()
}

// startStored reads the length of a stored block.
func (f *inflater) startStored() error {
	at := f.aligned()
	if at+4 > f.end {
		return errTruncated
	}
	n := binary.LittleEndian.Uint16(f.in[at:])
	if n != ^binary.LittleEndian.Uint16(f.in[at+2:]) {
		return errCorrupt
	}
	if f.stored = int(n); at+4+f.stored > f.end {
		return errTruncated
	}
	f.pos, f.bits, f.have = at+4, 0, 0
	return nil
}

// fixedTables builds the tables of the fixed codes (section 3.2.6).
func (f *inflater) fixedTables() {
	if f.fixed {
		return
	}
	f.fixed = true
	var lengths [288]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	buildTable(f.lit[:], litBits, lengths[:], litEntry)
	joinLiterals(&f.lit)
	for i := range 32 {
		lengths[i] = 5
	}
	buildTable(f.dist[:], distBits, lengths[:32], distEntry)
}

// readTables reads the codes of a block (section 3.2.7).
func (f *inflater) readTables() error {
	literals, distances, count := f.take(5)+257, f.take(5)+1, f.take(4)+4
	if literals > litSymbols || distances > distSymbols {
		return errCorrupt
	}
	order := [lengthSymbols]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	var lengths [litSymbols + distSymbols]uint8
	for _, symbol := range order[:count] {
		lengths[symbol] = uint8(f.take(3))
	}
	var table [lengthTable]uint32
	if !buildTable(table[:], lengthBits, lengths[:lengthSymbols], lengthEntry) {
		return errCorrupt
	}
	if err := f.readLengths(&table, lengths[:literals+distances]); err != nil {
		return err
	}
	if !buildTable(f.lit[:], litBits, lengths[:literals], litEntry) ||
		!buildTable(f.dist[:], distBits, lengths[literals:literals+distances], distEntry) {
		return errCorrupt
	}
	joinLiterals(&f.lit)
	return nil
}

// readLengths reads the lengths of codes.
func (f *inflater) readLengths(table *[lengthTable]uint32, lengths []uint8) error {
	for i := 0; i < len(lengths); {
		f.refill()
		e := table[f.bits%(1<<lengthBits)]
		if e&entrySpecial != 0 {
			return errCorrupt
		}
		f.bits >>= e & entryBits
		f.have -= uint64(e & entryBits)
		var value uint8
		repeat := 1
		switch symbol := e >> entryValue; {
		case symbol < 16:
			value = uint8(symbol)
		case symbol == 16 && i == 0:
			return errCorrupt
		case symbol == 16:
			value, repeat = lengths[i-1], 3+f.take(2)
		case symbol == 17:
			repeat = 3 + f.take(3)
		default:
			repeat = 11 + f.take(7)
		}
		if i+repeat > len(lengths) {
			return errCorrupt
		}
		for range repeat {
			lengths[i] = value
			i++
		}
	}
	return nil
}
