package label

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Markers of a JPEG file.
const (
	markerTEM   = 0x01
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerAPP0  = 0xe0
	markerAPP1  = 0xe1
	markerAPP11 = 0xeb
)

const (
	namespaceJPEG = "http://ns.adobe.com/xap/1.0/\x00" // starts a segment with a packet
	// maxPacketJPEG is the largest packet that the XMP specification allows in a segment.
	maxPacketJPEG = 65502
)

// scanJPEG reads the segments before the pixels (ITU-T T.81, annex B).
func scanJPEG(s *source) (found, error) {
	var f found
	head, err := s.next(2)
	if err != nil {
		return f, err
	}
	if string(head) != "\xff\xd8" {
		return f, fmt.Errorf("%w: it is not a JPEG file", ErrMalformed)
	}
	f.insert = s.at
	for leading := true; ; {
		marker, err := nextMarker(s)
		if err != nil || marker == markerSOS {
			return f, err
		}
		isExif, err := f.scanSegment(s, marker)
		if err != nil {
			return f, err
		}
		// A packet follows JFIF and Exif, which must be first.
		if leading = leading && (marker == markerAPP0 || isExif); leading {
			f.insert = s.at
		}
	}
}

// nextMarker reads a marker and the fill bytes before it.
func nextMarker(s *source) (byte, error) {
	head, err := s.next(2)
	if err != nil {
		return 0, err
	}
	prefix, marker := head[0], head[1]
	for prefix == 0xff && marker == 0xff {
		if head, err = s.next(1); err != nil {
			return 0, err
		}
		marker = head[0]
	}
	if prefix != 0xff || marker == 0 || marker == markerSOI || marker == markerEOI {
		return 0, fmt.Errorf("%w: a segment is expected at byte %d", ErrMalformed, s.at-2)
	}
	return marker, nil
}

// scanSegment reads what follows a marker, and reports whether it is Exif data.
func (f *found) scanSegment(s *source, marker byte) (isExif bool, err error) {
	if marker == markerTEM || marker >= markerRST0 && marker <= markerRST7 {
		return false, nil
	}
	start := s.at - 2
	head, err := s.next(2)
	if err != nil {
		return false, err
	}
	size := int(binary.BigEndian.Uint16(head)) - 2
	if size < 0 {
		return false, fmt.Errorf("%w: the segment at byte %d has no length", ErrMalformed, start)
	}
	if head, err = s.peek(min(size, 40)); err != nil {
		return false, err
	}
	switch {
	case marker == markerAPP1 && f.XMP == nil && bytes.HasPrefix(head, []byte(namespaceJPEG)):
		data, err := s.keep(size)
		if err != nil {
			return false, err
		}
		f.setXMP(data[len(namespaceJPEG):])
		f.packet = span{start, s.at}
		return false, nil
	case marker == markerAPP1 && bytes.HasPrefix(head, []byte("Exif\x00")):
		data, err := s.keep(size)
		if err != nil {
			return true, err
		}
		f.setAIGCFromExif(data)
		return true, nil
	case marker == markerAPP11 && isJUMBF(head):
		f.C2PA = true
	}
	return false, s.skip(size)
}

// isJUMBF reports whether an APP11 segment has a JUMBF superbox (ISO/IEC 19566-5), as
// Content Credentials do: "JP", the box's number and the packet's, the box's length and type.
func isJUMBF(segment []byte) bool {
	return len(segment) >= 16 && string(segment[:2]) == "JP" && string(segment[12:16]) == "jumb"
}

func frameJPEG(packet []byte) []byte {
	size := 2 + len(namespaceJPEG) + len(packet)
	b := make([]byte, 0, 2+size)
	b = append(b, 0xff, markerAPP1)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = append(b, namespaceJPEG...)
	return append(b, packet...)
}
