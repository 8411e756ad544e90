// Package label marks image files as made by AI, and finds the marks that a file
// already carries. It inserts XMP and, for operators in China, the AIGC label of
// GB 45438-2025 into PNG, JPEG, WebP and ICO files without touching their pixels.
package label

import (
	"errors"
	"io"
	"time"
)

// Mode selects what the label of a file says.
type Mode string

// The modes.
const (
	Source Mode = "source" // made by AI, with which model, when, and its id
	Recipe Mode = "recipe" // also the prompt, the size and the quality
	None   Mode = "none"   // nothing: the file keeps only what the original carried
)

// Policy is what derived files say of themselves. The zero Policy labels like Source.
type Policy struct {
	Mode     Mode
	Producer string // who offers the service in China; "" adds no AIGC label
}

// Label describes an image for its file. The same Label gives the same bytes.
type Label struct {
	ID        string
	Model     string
	CreatedAt time.Time
	Sandbox   bool   // made by the sandbox, not by a model
	AltText   string // describes the image to people who cannot see it

	Recipe                bool // the label also has the following
	Prompt, Size, Quality string

	Producer string // content producer of the AIGC label; "" adds none
}

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

var (
	// ErrSigned means that a file was not labelled because it has Content Credentials.
	ErrSigned = errors.New("the file has Content Credentials, which a label would break")
	// ErrMalformed means that a file was not labelled because it is not a valid file of
	// its type.
	ErrMalformed = errors.New("the file is malformed")
)

var errNotWritten = errors.New("not written yet")

// Names returns the names of the marks, in the order XMP, AIGC, C2PA. The list is not nil.
func (m Marks) Names() []string { return []string{} }

// Add returns a copy of a file with the label. Marks that the file has stay: an XMP packet
// gets another description, and an AIGC label is not replaced. Add fails with ErrSigned or
// ErrMalformed.
func Add(file []byte, mimeType string, l Label) ([]byte, error) { return nil, errNotWritten }

// Carry returns a copy of a file that has the XMP packet and the AIGC label of another file,
// from which its pixels were made. It leaves out Content Credentials, which would not be
// valid for other pixels.
func Carry(file []byte, mimeType string, m Marks) ([]byte, error) { return nil, errNotWritten }

// Find returns the marks of a file. It reads the file as a stream, skips the pixels, and
// stops when no more marks can follow. It fails with ErrMalformed and the marks found so far.
func Find(file io.Reader, mimeType string) (Marks, error) { return Marks{}, errNotWritten }

// Parse returns the label that Add wrote into an XMP packet. ok is false if there is none.
func Parse(xmp []byte) (l Label, ok bool) { return Label{}, false }
