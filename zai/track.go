package zai

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// errIncomplete means that a file ended before its image did. It is not an
// *Error, because an *Error of Download means that the client has already
// retried.
var errIncomplete = fmt.Errorf("%w: the image file is cut off: %w", KindDownload, io.ErrUnexpectedEOF)

// tracker follows the structure of an image file to find the end of the image.
// A download without a length ends with its connection, so a file that was cut
// off would otherwise look complete. Bytes after the end of the image are
// allowed, because services append metadata there.
type tracker struct {
	skip int64  // bytes to skip, or seekFF
	want int    // number of bytes that step needs
	part []byte // those of them that have been read
	step step   // nil: the image ends after skip
}

// step reads a part of a file. It returns how many bytes to skip, how many to
// read then, and the step that reads them.
type step func(part []byte) (skip int64, want int, next step)

// seekFF skips everything up to and including the next byte 0xFF.
const seekFF = -1

// complete reports whether the image has ended.
func (t *tracker) complete() bool { return t.step == nil && t.skip == 0 }

// advance processes the next bytes of the file.
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

// pngChunk reads the header of a chunk, which is followed by its data and a
// checksum of four bytes.
func pngChunk(head []byte) (skip int64, want int, next step) {
	skip = int64(binary.BigEndian.Uint32(head)) + 4
	if string(head[4:]) == "IEND" {
		return skip, 0, nil
	}
	return skip, 8, pngChunk
}

func trackJPEG() *tracker { return &tracker{skip: 2, want: 1, step: jpegMarker} }

// jpegMarker reads the 0xFF at the beginning of a marker, and skips bytes
// before it.
func jpegMarker(b []byte) (skip int64, want int, next step) {
	if b[0] == 0xFF {
		return 0, 1, jpegCode
	}
	return seekFF, 1, jpegCode
}

// jpegCode reads the byte after a 0xFF. It skips a 0xFF within compressed data
// and markers without a segment.
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

// jpegSegment reads the length of a segment, which includes its own two bytes.
// Segments are skipped as a whole, because a preview inside one has its own end
// of image.
func jpegSegment(length []byte) (skip int64, want int, next step) {
	return max(int64(binary.BigEndian.Uint16(length))-2, 0), 1, jpegMarker
}

func trackWebP() *tracker { return &tracker{skip: 4, want: 4, step: riffSize} }

func riffSize(size []byte) (skip int64, want int, next step) {
	return int64(binary.LittleEndian.Uint32(size)), 0, nil
}

func trackGIF() *tracker { return &tracker{skip: 6, want: 7, step: gifScreen} }

func gifScreen(b []byte) (skip int64, want int, next step) { return gifTable(b[4]), 1, gifBlock }

// gifTable returns the size in bytes of the colour table that flags describe.
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

// gifImage reads the header of an image, which is followed by a colour table
// and one byte before the data.
func gifImage(b []byte) (skip int64, want int, next step) { return gifTable(b[8]) + 1, 1, gifData }

// gifData reads the length of a block of data. The last block is empty.
func gifData(length []byte) (skip int64, want int, next step) {
	if length[0] == 0 {
		return 0, 1, gifBlock
	}
	return int64(length[0]), 1, gifData
}
