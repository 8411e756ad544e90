package pixels

import (
	"encoding/binary"
	"fmt"
)

// evenBytes selects every other byte of four or eight. Two bytes can be added in the 16
// bits of each.
const evenBytes = 0x00ff00ff00ff00ff

// unfilter reverses the filter of a row of a PNG (section 9 of its specification). filtered
// is the row after the byte for the filter, with samples bytes per pixel, and has at least
// 4 further bytes of capacity. row and above have 4 bytes per pixel, and the fourth is 255
// if samples is 3.
func unfilter(filter byte, row, filtered, above []byte, samples int) error {
	filtered = filtered[:len(filtered)+4]
	var opaque uint32
	if samples == 3 {
		opaque = 0xff << 24
	}
	switch filter {
	case 0:
		for i, j := 0, 0; i+4 <= len(row); i, j = i+4, j+samples {
			put32(row, i, get32(filtered, j)|opaque)
		}
	case 1:
		unfilterSub(row, filtered, samples, opaque)
	case 2:
		unfilterUp(row, filtered, above, samples, opaque)
	case 3:
		unfilterAverage(row, filtered, above, samples, opaque)
	case 4:
		unfilterPaeth(row, filtered, above, samples, opaque)
	default:
		return fmt.Errorf("unknown filter %d", filter)
	}
	return nil
}

// spread moves the odd bytes of a pixel behind the even ones, with 16 bits for each.
func spread(pixel uint32) uint64 {
	return uint64(pixel)&0x00ff00ff | uint64(pixel)&0xff00ff00<<24
}

// pack reverses spread.
func pack(pixel uint64) uint32 { return uint32(pixel | pixel>>24) }

func unfilterSub(row, filtered []byte, samples int, opaque uint32) {
	left := uint64(0)
	for i, j := 0, 0; i+4 <= len(row); i, j = i+4, j+samples {
		left = (left + spread(get32(filtered, j))) & evenBytes
		put32(row, i, pack(left)|opaque)
	}
}

func unfilterUp(row, filtered, above []byte, samples int, opaque uint32) {
	const high = 0x80808080
	for i, j := 0, 0; i+4 <= len(row); i, j = i+4, j+samples {
		x, up := get32(filtered, j), get32(above, i)
		// Without the highest bits, no sum carries into the next byte.
		sum := (x&^high + up&^high) ^ (x^up)&high
		put32(row, i, sum|opaque)
	}
}

func unfilterAverage(row, filtered, above []byte, samples int, opaque uint32) {
	left := uint64(0)
	for i, j := 0, 0; i+4 <= len(row); i, j = i+4, j+samples {
		// The shift moves the lowest bit of each sum to the highest of the 16 bits before
		// it, from which no sum carries.
		average := (left + spread(get32(above, i))) >> 1
		left = (average + spread(get32(filtered, j))) & evenBytes
		put32(row, i, pack(left)|opaque)
	}
}

func unfilterPaeth(row, filtered, above []byte, samples int, opaque uint32) {
	var l0, l1, l2, l3, c0, c1, c2, c3 int // the bytes to the left, and those above them
	for i, j := 0, 0; i+4 <= len(row); i, j = i+4, j+samples {
		x, up := get32(filtered, j), get32(above, i)
		u0, u1, u2 := int(up&255), int(up>>8&255), int(up>>16&255)
		l0 = (paeth(l0, u0, c0) + int(x)) & 255
		l1 = (paeth(l1, u1, c1) + int(x>>8)) & 255
		l2 = (paeth(l2, u2, c2) + int(x>>16)) & 255
		c0, c1, c2 = u0, u1, u2
		if samples == 4 {
			u3 := int(up >> 24)
			l3 = (paeth(l3, u3, c3) + int(x>>24)) & 255
			c3 = u3
		}
		put32(row, i, uint32(l0|l1<<8|l2<<16|l3<<24)|opaque)
	}
}

// paeth returns whichever of left, up and corner is closest to left+up-corner. Of equally
// close ones, left comes first and corner last.
//
// If corner is not between left and up, that is the one of them farther from corner.
// Otherwise, low is high-corner away, and corner is |low+high-2*corner| away. So low is not
// farther if high <= 3*corner-low-high, and for high it is the other way round.
func paeth(left, up, corner int) int {
	low, high := min(left, up), max(left, up)
	bound := 3*corner - left - up
	guess := corner
	if bound >= high {
		guess = low
	}
	if bound <= low {
		guess = high
	}
	return guess
}

// get32 returns four bytes of b as a little-endian number.
func get32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i : i+4 : i+4]) }

func put32(b []byte, i int, v uint32) { binary.LittleEndian.PutUint32(b[i:i+4:i+4], v) }

func get64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i : i+8 : i+8]) }

func put64(b []byte, i int, v uint64) { binary.LittleEndian.PutUint64(b[i:i+8:i+8], v) }
