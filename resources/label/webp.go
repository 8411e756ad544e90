package label

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Parts of a WebP file (RFC 9649).
const (
	riffHeader  = 12 // "RIFF", the size of what follows, "WEBP"
	chunkHeader = 8  // name, size
	flagXMP     = 1 << 2
	flagAlpha   = 1 << 4
)

// scanWebP reads the chunks.
func scanWebP(s *source) (found, error) {
	var f found
	head, err := s.next(riffHeader)
	if err != nil {
		return f, err
	}
	if string(head[:4]) != "RIFF" || string(head[8:]) != "WEBP" {
		return f, fmt.Errorf("%w: it is not a WebP file", ErrMalformed)
	}
	total := binary.LittleEndian.Uint32(head[4:])
	if total > math.MaxInt32-chunkHeader {
		return f, fmt.Errorf("%w: it is too large", ErrMalformed)
	}
	end := chunkHeader + int(total)
	for first := true; first || s.at < end; first = false {
		head, err := s.next(chunkHeader)
		if err != nil {
			return f, err
		}
		name, length := string(head[:4]), binary.LittleEndian.Uint32(head[4:])
		if int64(length)+int64(length%2) > int64(end-s.at) {
			return f, fmt.Errorf("%w: the chunk at byte %d is too large", ErrMalformed, s.at-chunkHeader)
		}
		size := int(length)
		if first {
			data, err := s.peek(min(size, 10))
			if err != nil {
				return f, err
			}
			if f.vp8x, err = extendedHeader(name, data); err != nil {
				return f, err
			}
		}
		if err := f.scanWebPChunk(s, name, size); err != nil {
			return f, err
		}
	}
	// Readers use the first packet, so one that cannot be used must come after ours.
	f.insert = end
	if f.XMP != nil {
		f.insert = f.packet.from
	}
	return f, nil
}

// scanWebPChunk reads what follows the name and the size of a chunk.
func (f *found) scanWebPChunk(s *source, name string, size int) error {
	start := s.at - chunkHeader
	switch {
	case name == "C2PA":
		f.C2PA = true
	case name == "XMP " && f.XMP == nil, name == "EXIF" && size <= maxExif:
		data, err := s.keep(size)
		if err != nil {
			return err
		}
		if err := s.skip(size % 2); err != nil {
			return err
		}
		if name == "EXIF" {
			f.setAIGCFromExif(data)
		} else {
			f.setXMP(data)
			f.packet = span{start, s.at}
		}
		return nil
	}
	return s.skip(size + size%2)
}

// extendedHeader returns the chunk VP8X that a file needs to have a packet, or nil if it has
// one. It takes the name and the beginning of the first chunk.
func extendedHeader(name string, data []byte) ([]byte, error) {
	var width, height uint32
	var flags byte = flagXMP
	switch {
	case name == "VP8X" && len(data) == 10:
		return nil, nil
	case name == "VP8 " && len(data) == 10 && data[0]&1 == 0 && string(data[3:6]) == "\x9d\x01\x2a":
		const mask = 1<<14 - 1 // the other bits are for scaling
		width = uint32(binary.LittleEndian.Uint16(data[6:]) & mask)
		height = uint32(binary.LittleEndian.Uint16(data[8:]) & mask)
	case name == "VP8L" && len(data) >= 5 && data[0] == 0x2f:
		const mask = 1<<14 - 1
		bits := binary.LittleEndian.Uint32(data[1:])
		width, height = bits&mask+1, bits>>14&mask+1
		if bits>>28&1 == 1 {
			flags |= flagAlpha
		}
	}
	if width == 0 || height == 0 {
		return nil, fmt.Errorf("%w: it has no valid image header", ErrMalformed)
	}
	header := [10]byte{0: flags}
	putUint24(header[4:], width-1)
	putUint24(header[7:], height-1)
	return frameRIFF("VP8X", header[:]), nil
}

func putUint24(b []byte, n uint32) {
	b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16)
}

func frameRIFF(name string, data []byte) []byte {
	b := make([]byte, 0, chunkHeader+len(data)+1)
	b = append(b, name...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, data...)
	if len(data)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func frameWebP(packet []byte) []byte { return frameRIFF("XMP ", packet) }

// applyWebP also mends the header: the size, and the flag that the file has a packet.
func applyWebP(file []byte, f found, edits []edit) []byte {
	if len(edits) == 0 {
		return applyEdits(file, f, nil)
	}
	if f.vp8x != nil {
		edits = append([]edit{{riffHeader, riffHeader, f.vp8x}}, edits...)
	}
	out := applyEdits(file, f, edits)
	size := binary.LittleEndian.Uint32(file[4:]) + uint32(len(out)-len(file))
	binary.LittleEndian.PutUint32(out[4:], size)
	out[riffHeader+chunkHeader] |= flagXMP
	return out
}
