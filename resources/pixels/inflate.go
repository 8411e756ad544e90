package pixels

import (
	"errors"
	"io"
)

const (
	window   = 1 << 15 // bytes before the current one that a match can refer to
	maxMatch = 258
	// outputRoom is the room that decodeBlock needs for one step of its loop: groups of up
	// to three literals and a match, behind which up to 16 bytes are overwritten.
	outputRoom = 4*4 + maxMatch + 16
	// An inflater refuses data of more than freeBlocks blocks and one for each blockBytes of
	// output. Encoders write far fewer, and the header of a block takes as long to decode as
	// thousands of bytes.
	freeBlocks, blockBytes = 1000, 256
	// inputPadding is how far decodeBlock reads behind the end of the input.
	inputPadding = 24
)

var (
	errCorrupt   = errors.New("the compressed data is corrupt")
	errTruncated = errors.New("the compressed data ends too early")
)

// inflater decompresses DEFLATE (RFC 1951). It accepts the same data as compress/flate, but
// fails with ErrUnsupported if there are too many blocks. It is faster because it has the
// whole input in memory, and decodes up to three literals at a time.
type inflater struct {
	in  []byte // with padding
	end int    // of the input without padding
	pos int    // of the first byte that is not among the bits
	// bits has the next bits of the input, the first one lowest. The lowest 6 bits of have
	// say how many they are at least; its other bits mean nothing. The bits above those are 0
	// or equal to the first ones of the input at pos.
	bits, have uint64

	blocks  int  // number of blocks that were started
	total   int  // bytes of output before those in buf
	final   bool // the current block is the last one
	coded   bool // within a block with Huffman codes
	fixed   bool // the tables are those of the fixed codes
	stored  int  // bytes left of a stored block
	err     error
	buf     []byte // output
	n, read int    // bytes of buf that are written and read
	lit     [litTable]uint32
	dist    [distTable]uint32
}

// newInflater returns an inflater, whose next method will be called for at most most bytes,
// and for at most total bytes altogether. It overwrites bytes behind in if its capacity
// allows, and allocates otherwise.
func newInflater(in []byte, most, total int) *inflater {
	const atOnce = 1 << 16 // bytes to decompress before any are returned
	var padding [inputPadding]byte
	return &inflater{
		in: append(in, padding[:]...), end: len(in),
		// One more byte shows that there is more output than expected.
		buf: make([]byte, min(window+most+atOnce, total+1)+outputRoom),
	}
}

// next returns the next n bytes, which are valid until the next call. At least 8 more bytes
// are within the capacity. If the data ends before, it fails with io.ErrUnexpectedEOF.
func (f *inflater) next(n int) ([]byte, error) {
	for f.n-f.read < n {
		if f.err == io.EOF { //nolint:errorlint // never wrapped
			return nil, io.ErrUnexpectedEOF
		} else if f.err != nil {
			return nil, f.err
		}
		f.decompress()
	}
	b := f.buf[f.read : f.read+n]
	f.read += n
	return b, nil
}

// rest returns the bytes of the input after the compressed data. It fails if
// the compressed data is corrupt, and with errMore if there is more output.
func (f *inflater) rest() ([]byte, error) {
	for f.n == f.read && f.err == nil {
		f.decompress()
	}
	if f.n > f.read {
		return nil, errMore
	}
	if f.err != io.EOF { //nolint:errorlint // never wrapped
		return nil, f.err
	}
	return f.in[f.aligned():f.end], nil
}

var errMore = errors.New("more decompressed data than expected")

// decompress decompresses until the buffer is full, or the data ends.
func (f *inflater) decompress() {
	full := len(f.buf) - outputRoom
	if from := min(f.n-window, f.read); f.n >= full && from > 0 {
		copy(f.buf, f.buf[from:f.n])
		f.n -= from
		f.read -= from
		f.total += from
	}
	for f.err == nil && f.n < full {
		switch {
		case f.stored > 0:
			n := copy(f.buf[f.n:full], f.in[f.pos:f.pos+f.stored])
			f.n, f.pos, f.stored = f.n+n, f.pos+n, f.stored-n
		case f.coded:
			f.err = f.decodeBlock(full)
		case f.final:
			f.err = io.EOF
		case f.blocks > freeBlocks+(f.total+f.n)/blockBytes:
			f.err = ErrUnsupported
		default:
			f.blocks++
			f.err = f.startBlock()
		}
	}
}

// decodeBlock decodes symbols until the end of the block, or until full bytes of the
// buffer are written.
func (f *inflater) decodeBlock(full int) error {
	in, pos, bits, have := f.in, f.pos, f.bits, f.have
	buf, n := f.buf, f.n
	lit, dist := (*[1 << litBits]uint32)(f.lit[:]), (*[1 << distBits]uint32)(f.dist[:])
	// A code that begins before the end of the input begins before last is refilled.
	last := f.end + 8
	for n < full {
		if pos > last {
			return errTruncated
		}
		bits, pos, have = refilled(in, bits, pos, have)
		e := lit[bits%(1<<litBits)]
		if e&entryLiterals != 0 {
			// Four times 11 bits are available.
			n, bits, have = putLiterals(buf, n, e, bits, have)
			if e = lit[bits%(1<<litBits)]; e&entryLiterals != 0 {
				n, bits, have = putLiterals(buf, n, e, bits, have)
				if e = lit[bits%(1<<litBits)]; e&entryLiterals != 0 {
					n, bits, have = putLiterals(buf, n, e, bits, have)
					if e = lit[bits%(1<<litBits)]; e&entryLiterals != 0 {
						n, bits, have = putLiterals(buf, n, e, bits, have)
						continue
					}
				}
			}
			// A length and a distance have up to 48 bits.
			bits, pos, have = refilled(in, bits, pos, have)
		}
		if e&entrySpecial != 0 {
			if e&entryLink != 0 {
				e = f.lit[link(e, bits>>litBits)]
			}
			if e&entryLiterals != 0 {
				n, bits, have = putLiterals(buf, n, e, bits, have)
				continue
			}
			if e&entrySpecial != 0 {
				f.coded = false
				f.pos, f.bits, f.have, f.n = pos, bits>>(e&entryBits), have-uint64(e), n
				return f.endBlock(e)
			}
		}
		length := value(e, bits)
		bits >>= e & entryBits
		have -= uint64(e)

		e = dist[bits%(1<<distBits)]
		if e&entryLink != 0 {
			e = f.dist[link(e, bits>>distBits)]
		}
		distance := value(e, bits)
		if e&entrySpecial != 0 || distance > n {
			return errCorrupt
		}
		bits >>= e & entryBits
		have -= uint64(e)
		copyMatch(buf, n, distance, length)
		n += length
	}
	f.pos, f.bits, f.have, f.n = pos, bits, have, n
	return nil
}

// refilled returns at least 56 bits.
func refilled(in []byte, bits uint64, pos int, have uint64) (uint64, int, uint64) {
	return bits | get64(in, pos)<<(have&63), pos + int(^have>>3&7), have | 56
}

// putLiterals writes the literals of an entry to n, and up to 3 bytes behind them.
func putLiterals(buf []byte, n int, e uint32, bits, have uint64) (int, uint64, uint64) {
	put32(buf, n, e>>8)
	return n + int(e>>6&3), bits >> (e & entryBits), have - uint64(e)
}

// value returns the length or the distance of an entry, with its extra bits.
func value(e uint32, bits uint64) int {
	return int(e>>entryValue&0xffff) + int(bits&(1<<(e&entryBits)-1)>>(e>>entryCode&15))
}

// link returns where a link leads to. bits are those behind the first part of the code.
func link(e uint32, bits uint64) int {
	return int(e>>entryValue&0xffff) + int(bits&(1<<(e>>entryCode&15)-1))
}

// endBlock ends a block because of a special entry.
func (f *inflater) endBlock(e uint32) error {
	if e&entryEnd == 0 {
		return errCorrupt
	}
	return f.overrun()
}

// copyMatch copies length bytes that are distance bytes before n to n. It may overwrite
// the 16 bytes behind them.
func copyMatch(buf []byte, n, distance, length int) {
	end := n + length
	if distance < 8 {
		// Repeat the bytes until a multiple of the distance is at least 8.
		repeated := (7/distance + 1) * distance
		for until := min(n+repeated-distance, end); n < until; n++ {
			buf[n] = buf[n-distance]
		}
		if n == end {
			return
		}
		distance = repeated
	}
	// Most matches are short, and a loop that ends after a varying number of rounds
	// is slow.
	put64(buf, n, get64(buf, n-distance))
	put64(buf, n+8, get64(buf, n+8-distance))
	for n += 16; n < end; n += 8 {
		put64(buf, n, get64(buf, n-distance))
	}
}

// overrun returns an error if more bits were used than the input has.
func (f *inflater) overrun() error {
	if f.pos*8-int(f.have&63) > f.end*8 {
		return errTruncated
	}
	return nil
}

// aligned returns the position of the first byte of the input of which no bit was used.
func (f *inflater) aligned() int { return f.pos - int(f.have&63)/8 }
