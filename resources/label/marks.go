package label

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"
)

// Marks are what a file says of its origin.
type Marks struct {
	XMP  []byte // the XMP packet, nil if there is none
	AIGC string // the JSON of the AIGC label, "" if there is none
	C2PA bool   // has Content Credentials, whose signature any change breaks
}

// The names of marks, as Marks.Names returns them.
const (
	XMP  = "XMP"
	AIGC = "AIGC"
	C2PA = "C2PA"
)

// Names returns the names of the marks, in the order XMP, AIGC, C2PA. The list is not nil.
func (m Marks) Names() []string {
	names := []string{}
	if m.XMP != nil {
		names = append(names, XMP)
	}
	if m.AIGC != "" {
		names = append(names, AIGC)
	}
	if m.C2PA {
		names = append(names, C2PA)
	}
	return names
}

// Find returns the marks of a PNG, JPEG or WebP file; it finds none in files of other types.
// It reads the file as a stream, skips the pixels, and stops when no more marks can follow.
// If there are several packets or labels, it returns the first. It fails with ErrMalformed,
// also for marks of more than 4 MiB, or with the error of the reader, and then returns the
// marks found so far.
func Find(file io.Reader, mimeType string) (Marks, error) {
	c, ok := containerOf(mimeType)
	if !ok {
		return Marks{}, nil
	}
	f, err := c.scan(newSource(file))
	return f.Marks, err
}

// setXMP records the first packet of a file.
func (m *Marks) setXMP(packet []byte) {
	m.XMP = append([]byte{}, packet...)
	if p, err := parsePacket(packet); err == nil {
		m.setAIGC(p.properties[aigcProperty("").name()])
	}
}

// maxAIGC is the size in bytes of the largest text that can be an AIGC label. Labels have
// about 200.
const maxAIGC = 16 << 10

// setAIGC records the first AIGC label of a file.
func (m *Marks) setAIGC(text string) {
	if m.AIGC == "" && len(text) <= maxAIGC {
		m.AIGC = strings.TrimSpace(text)
	}
}

// setAIGCFromExif records an AIGC label in a UserComment. It looks only for the JSON, which
// is unlikely to occur elsewhere.
func (m *Marks) setAIGCFromExif(exif []byte) {
	i := bytes.Index(exif, []byte(`"ContentProducer"`))
	if i < 0 {
		return
	}
	i = bytes.LastIndexByte(exif[:i], '{')
	if i < 0 {
		return
	}
	var label json.RawMessage
	if json.NewDecoder(bytes.NewReader(exif[i:])).Decode(&label) == nil && utf8.Valid(label) {
		m.setAIGC(string(label))
	}
}
