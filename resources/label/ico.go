package label

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

func isICO(mimeType string) bool {
	return mimeType == "image/x-icon" || mimeType == "image/vnd.microsoft.icon"
}

// Sizes in an ICO file, in bytes.
const (
	icoHeader = 6  // reserved, type, number of entries
	icoEntry  = 16 // properties, size and offset of an image
)

// editICO returns a copy of an ICO file with its largest PNG changed.
func editICO(file []byte, change func(png []byte) ([]byte, error)) ([]byte, error) {
	entries, err := entriesICO(file)
	if err != nil {
		return nil, err
	}
	at, err := largestPNG(file, entries)
	if err != nil {
		return nil, err
	}
	with, err := change(file[at.from:at.to])
	if err != nil {
		return nil, err
	}
	out := applyEdits(file, found{}, []edit{{at.from, at.to, with}})
	for i, e := range entries {
		field := out[icoHeader+i*icoEntry+8:]
		switch {
		case e == at:
			binary.LittleEndian.PutUint32(field, uint32(len(with)))
		case e.from >= at.to:
			binary.LittleEndian.PutUint32(field[4:], uint32(e.from+len(out)-len(file)))
		case e.to > at.from:
			return nil, fmt.Errorf("%w: its images overlap", ErrMalformed)
		}
	}
	return out, nil
}

// entriesICO returns where the images of an ICO file are.
func entriesICO(file []byte) ([]span, error) {
	if len(file) < icoHeader || string(file[:4]) != "\x00\x00\x01\x00" {
		return nil, fmt.Errorf("%w: it is not an ICO file", ErrMalformed)
	}
	entries := make([]span, binary.LittleEndian.Uint16(file[4:]))
	data := icoHeader + len(entries)*icoEntry
	if len(file) < data {
		return nil, malformed(io.ErrUnexpectedEOF)
	}
	for i := range entries {
		field := file[icoHeader+i*icoEntry+8:]
		size, from := int(binary.LittleEndian.Uint32(field)), int(binary.LittleEndian.Uint32(field[4:]))
		if from < data || from > len(file) || size < 0 || size > len(file)-from {
			return nil, fmt.Errorf("%w: entry %d is outside the file", ErrMalformed, i+1)
		}
		entries[i] = span{from, from + size}
	}
	return entries, nil
}

// largestPNG returns the PNG with the most pixels.
func largestPNG(file []byte, entries []span) (span, error) {
	var largest span
	var most uint64
	for _, e := range entries {
		png := file[e.from:e.to]
		if len(png) < 24 || !bytes.HasPrefix(png, []byte(signaturePNG)) {
			continue
		}
		width, height := binary.BigEndian.Uint32(png[16:]), binary.BigEndian.Uint32(png[20:])
		if pixels := uint64(width) * uint64(height); pixels > most {
			largest, most = e, pixels
		}
	}
	if most == 0 {
		return span{}, fmt.Errorf("%w: it has no PNG", ErrMalformed)
	}
	return largest, nil
}
