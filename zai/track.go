package zai

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// errIncomplete says that a file ended before its image did. Fetching it again
// may help, so it is no *Error, which would mean that this was tried already.
var errIncomplete = fmt.Errorf("%w: the image file is cut off: %w", KindDownload, io.ErrUnexpectedEOF)

// tracker follows the structure of an image file and knows when it has seen
// the image to its end. A download without a length ends wherever its
// connection does, and looks complete to everybody else. Bytes after the end
// of the image are allowed: services append metadata there.
type tracker struct {
	skip int64 // bytes to pass over, or seekFF
	want int   // size of the part that step looks at
	part []byte
	step step // nil: the file is whole after skip
}

// step looks at a part of a file and tells what follows it.
type step func(part []byte) (skip int64, want int, next step)

// seekFF passes over everything up to and including the next byte 0xFF.
const seekFF = -1

// complete reports whether the image has ended.
func (t *tracker) complete() bool { return t.step == nil && t.skip == 0 }

// advance takes the next bytes of the file.
func (t *tracker) advance(b []byte) {
	for len(b) > 0 && !t.complete() {
		switch {
		case t.skip == seekFF:
			at := bytes.IndexByte(b, 0xFF)
			if at < 0 {
				return
			}
			b, t.skip = b[at+1:], 0
		case t.skip > 0:
			n := min(t.skip, int64(len(b)))
			b, t.skip = b[n:], t.skip-n
		default:
			n := min(t.want-len(t.part), len(b))
			t.part, b = append(t.part, b[:n]...), b[n:]
			if len(t.part) == t.want {
				t.skip, t.want, t.step = t.step(t.part)
				t.part = t.part[:0]
			}
		}
	}
}

func trackPNG() *tracker { return &tracker{skip: 8, want: 8, step: pngChunk} }

// pngChunk reads a chunk's head, which is followed by its data and four bytes
// of checksum.
func pngChunk(head []byte) (skip int64, want int, next step) {
	skip = int64(binary.BigEndian.Uint32(head)) + 4
	if string(head[4:]) == "IEND" {
		return skip, 0, nil
	}
	return skip, 8, pngChunk
}

func trackJPEG() *tracker { return &tracker{skip: 2, want: 1, step: jpegMarker} }

// jpegMarker expects a marker, which begins with 0xFF, but passes over junk.
func jpegMarker(b []byte) (skip int64, want int, next step) {
	if b[0] == 0xFF {
		return 0, 1, jpegCode
	}
	return seekFF, 1, jpegCode
}

// jpegCode reads what follows a 0xFF. Those within compressed data and those
// of markers without a segment are passed over.
func jpegCode(b []byte) (skip int64, want int, next step) {
	switch code := b[0]; {
	case code == 0xD9: // end of image
		return 0, 0, nil
	case code == 0xFF: // filler
		return 0, 1, jpegCode
	case code <= 0x01, code >= 0xD0 && code <= 0xD8: // stuffing, TEM, restart, start of image
		return seekFF, 1, jpegCode
	default:
		return 0, 2, jpegSegment
	}
}

// jpegSegment reads a segment's length, which counts itself. Previews inside a
// segment have an end of image of their own.
func jpegSegment(length []byte) (skip int64, want int, next step) {
	return max(int64(binary.BigEndian.Uint16(length))-2, 0), 1, jpegMarker
}

func trackWebP() *tracker { return &tracker{skip: 4, want: 4, step: riffSize} }

func riffSize(size []byte) (skip int64, want int, next step) {
	return int64(binary.LittleEndian.Uint32(size)), 0, nil
}

func trackGIF() *tracker { return &tracker{skip: 6, want: 7, step: gifScreen} }

func gifScreen(b []byte) (skip int64, want int, next step) { return gifTable(b[4]), 1, gifBlock }

// gifTable is the size of the colour table that flags announce.
func gifTable(flags byte) int64 {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

func gifBlock(b []byte) (skip int64, want int, next step) {
	switch b[0] {
	case 0x3B: // trailer
		return 0, 0, nil
	case 0x21: // extension, with a label
		return 1, 1, gifData
	case 0x2C: // image
		return 0, 9, gifImage
	default:
		return 0, 1, gifBlock
	}
}

// gifImage reads an image's head, which is followed by a colour table and one
// byte before the data.
func gifImage(b []byte) (skip int64, want int, next step) { return gifTable(b[8]) + 1, 1, gifData }

// gifData reads the length of a piece of data; the last one is empty.
func gifData(length []byte) (skip int64, want int, next step) {
	if length[0] == 0 {
		return 0, 1, gifBlock
	}
	return int64(length[0]), 1, gifData
}
