// Package label marks image files as made by AI, and finds the marks that a file
// already carries. It inserts XMP and, for operators in China, the AIGC label of
// GB 45438-2025 into PNG, JPEG, WebP and ICO files without touching their pixels.
package label

import (
	"bytes"
	"errors"
	"fmt"
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
	CreatedAt time.Time // written with milliseconds, in UTC
	Sandbox   bool      // made by the sandbox, not by a model
	AltText   string    // describes the image to people who cannot see it

	Recipe                bool // the label also has the following
	Prompt, Size, Quality string

	Producer string // content producer of the AIGC label; "" adds none
}

var (
	// ErrSigned means that a file was not labelled because it has Content Credentials.
	ErrSigned = errors.New("the file has Content Credentials, which a label would break")
	// ErrMalformed means that a file was not labelled because it is not a valid file of
	// its type.
	ErrMalformed = errors.New("the file is malformed")
)

var errTooLong = errors.New("the label is too long for the file type")

// Add returns a copy of a PNG, JPEG, WebP or ICO file with the label; in an ICO file, its
// largest PNG has it. Marks that the file has stay: an XMP packet gets another description
// with the properties that it lacks, and an AIGC label is not replaced. Characters that XML
// forbids are left out, and a prompt is clipped if the file type limits the label's length.
// Add fails with ErrSigned or ErrMalformed, or if the other texts do not fit into a JPEG file.
func Add(file []byte, mimeType string, l Label) ([]byte, error) {
	if isICO(mimeType) {
		return editICO(file, func(png []byte) ([]byte, error) { return Add(png, typePNG, l) })
	}
	c, f, err := scanUnsigned(file, mimeType)
	if err != nil {
		return nil, err
	}
	if f.AIGC != "" {
		l.Producer = ""
	}
	merged, own, err := merge(f.XMP, l.properties(), c.maxPacket)
	if err != nil {
		return nil, err
	}
	var edits []edit
	if own != nil {
		edits = append(edits, edit{f.insert, f.insert, c.frame(own)})
	}
	if mimeType == typePNG {
		edits = append(edits, edit{f.insert, f.insert, textChunks(l, f.parameters)})
	}
	if !bytes.Equal(merged, f.XMP) {
		edits = append(edits, edit{f.packet.from, f.packet.to, c.frame(merged)})
	}
	return c.apply(file, f, edits), nil
}

// Carry returns a copy of a file that has the XMP packet and the AIGC label of another file,
// from which its pixels were made. It leaves out Content Credentials, which would not be
// valid for other pixels, and a packet that is too long for a JPEG file (65,502 bytes). The
// file should have no marks of its own. Carry fails with ErrSigned or ErrMalformed.
func Carry(file []byte, mimeType string, m Marks) ([]byte, error) {
	if isICO(mimeType) {
		return editICO(file, func(png []byte) ([]byte, error) { return Carry(png, typePNG, m) })
	}
	c, f, err := scanUnsigned(file, mimeType)
	if err != nil {
		return nil, err
	}
	packet, own, err := merge(m.XMP, notEmpty([]property{aigcProperty(m.AIGC)}), c.maxPacket)
	if err != nil {
		return nil, err
	}
	var edits []edit
	for _, p := range [][]byte{own, packet} {
		if p != nil && len(p) <= c.maxPacket {
			edits = append(edits, edit{f.insert, f.insert, c.frame(p)})
		}
	}
	if mimeType == typePNG && m.AIGC != "" {
		edits = append(edits, edit{f.insert, f.insert, aigcChunk(m.AIGC)})
	}
	return c.apply(file, f, edits), nil
}

// scanUnsigned finds the marks of a file. It fails with ErrSigned or ErrMalformed.
func scanUnsigned(file []byte, mimeType string) (container, found, error) {
	c, ok := containerOf(mimeType)
	if !ok {
		return c, found{}, fmt.Errorf("files of type %q cannot be labelled", mimeType)
	}
	f, err := c.scan(newSource(bytes.NewReader(file)))
	if err != nil {
		return c, f, err
	}
	if f.C2PA {
		return c, f, ErrSigned
	}
	return c, f, nil
}
