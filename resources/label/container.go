package label

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// The MIME types.
const (
	typePNG  = "image/png"
	typeJPEG = "image/jpeg"
	typeWebP = "image/webp"
)

// container reads and changes files of one type that have one image.
type container struct {
	// scan finds the marks. It fails like Find.
	scan func(*source) (found, error)
	// frame returns the part of a file that holds a packet.
	frame func(packet []byte) []byte
	// apply returns a copy of the file with the edits, which are in the order of the file.
	apply func(file []byte, f found, edits []edit) []byte
	// maxPacket is the largest size of a packet.
	maxPacket int
}

func containerOf(mimeType string) (container, bool) {
	switch mimeType {
	case typePNG:
		return container{scanPNG, framePNG, applyEdits, math.MaxInt32}, true
	case typeJPEG:
		return container{scanJPEG, frameJPEG, applyEdits, maxPacketJPEG}, true
	case typeWebP:
		return container{scanWebP, frameWebP, applyWebP, math.MaxInt32}, true
	default:
		return container{}, false
	}
}

// found is what a scan finds.
type found struct {
	Marks
	packet     span   // part of the file that holds Marks.XMP, with its frame
	insert     int    // where a packet can be inserted
	parameters bool   // PNG: there is a text "parameters"
	vp8x       []byte // WebP: the chunk that the file lacks to have a packet, nil if it has one
}

type span struct{ from, to int }

// edit replaces file[from:to].
type edit struct {
	from, to int
	with     []byte
}

func applyEdits(file []byte, _ found, edits []edit) []byte {
	size := len(file)
	for _, e := range edits {
		size += len(e.with) - (e.to - e.from)
	}
	out := make([]byte, 0, size)
	at := 0
	for _, e := range edits {
		out = append(out, file[at:e.from]...)
		out = append(out, e.with...)
		at = e.to
	}
	return append(out, file[at:]...)
}

// maxMarks limits the memory for the marks of a file, in bytes.
const maxMarks = 4 << 20

// source reads a file forwards. It fails with ErrMalformed if the file ends early or its
// marks are too large.
type source struct {
	r    *bufio.Reader
	at   int // offset of the next byte
	left int // what keep and inflate may still return, in bytes
}

func newSource(r io.Reader) *source { return &source{bufio.NewReader(r), 0, maxMarks} }

// peek returns the next n bytes, at most 4096. They are valid until the next call.
func (s *source) peek(n int) ([]byte, error) {
	b, err := s.r.Peek(n)
	return b, malformed(err)
}

// next returns the next n bytes like peek, and skips them.
func (s *source) next(n int) ([]byte, error) {
	b, err := s.peek(n)
	if err != nil {
		return nil, err
	}
	return b, s.skip(n)
}

func (s *source) skip(n int) error {
	done, err := s.r.Discard(n)
	s.at += done
	return malformed(err)
}

// keep returns a copy of the next n bytes.
func (s *source) keep(n int) ([]byte, error) {
	if err := s.spend(n); err != nil {
		return nil, err
	}
	var b bytes.Buffer // grows with what is there, which can be less than n
	done, err := io.CopyN(&b, s.r, int64(n))
	s.at += int(done)
	return b.Bytes(), malformed(err)
}

// spend takes n bytes from those that are left for marks.
func (s *source) spend(n int) error {
	if n > s.left {
		return fmt.Errorf("%w: its metadata takes more than %d MiB", ErrMalformed, maxMarks>>20)
	}
	s.left -= n
	return nil
}

// malformed returns ErrMalformed for the end of a file, and other errors as they are.
func malformed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut short", ErrMalformed)
	}
	return err
}
