// Package render makes files from a decoded image: it scales, crops, pads, removes plain
// backgrounds, and encodes. The same input gives the same bytes. It knows nothing of the
// library.
package render

import (
	"errors"
	"image"
)

// MaxSide is the largest width or height of a rendered image in pixels.
const MaxSide = 4096

// Format is a file format.
type Format string

// The formats, named as in a Spec's text.
const (
	PNG  Format = "png"
	JPEG Format = "jpg"
	WebP Format = "webp"
	ICO  Format = "ico"
)

// MIMEType returns the media type of a format.
func (f Format) MIMEType() string { return "" }

// Extension returns the extension of a format, with its dot.
func (f Format) Extension() string { return "." + string(f) }

// FormatOf returns the format for the extension of a file name, in any case. ok is false if
// there is none.
func FormatOf(extension string) (f Format, ok bool) { return "", false }

// FormatOfType returns the format of a media type. ok is false if there is none.
func FormatOfType(mimeType string) (f Format, ok bool) { return "", false }

// Fit says how an image with other proportions fills a size.
type Fit string

// The fits.
const (
	Cover   Fit = "cover"   // crops
	Contain Fit = "contain" // pads
)

// Transparent is the background that Render makes of a plain one.
const Transparent = "transparent"

// Spec describes a rendering of an image.
type Spec struct {
	Format        Format
	Width, Height int    // 0 for those of the image
	Fit           Fit    // "" for Cover
	Background    string // "", Transparent or #rrggbb; of the padding, and of transparent pixels
}

// SpecError reports what is wrong with a Spec, and what to do.
type SpecError struct{ Problem, Hint string }

func (e *SpecError) Error() string { return e.Problem }

var errNotWritten = errors.New("not written yet")

// NewSpec returns a checked Spec in its canonical form. size is WIDTHxHEIGHT or "". It fails
// with a *SpecError.
func NewSpec(format Format, size, fit, background string) (Spec, error) {
	return Spec{}, errNotWritten
}

// ParseSpec parses the text of a Spec. It accepts only what String returns for the result
// of NewSpec.
func ParseSpec(text string) (Spec, error) { return Spec{}, errNotWritten }

// String returns the text of a Spec for URIs and file names: format, size with fit, and
// background, as in webp-1200x630-cover or png-512x512-contain-ffffff.
func (s Spec) String() string { return "" }

// Unchanged reports whether a Spec leaves the pixels of an image in this format as they are.
func (s Spec) Unchanged(original Format) bool { return false }

// Result is a rendered image.
type Result struct {
	Data          []byte
	Width, Height int     // of the largest image in the file
	Enlarged      bool    // it has more pixels than the image
	Cleared       float64 // share of the pixels that became transparent, 0 to 1
}

// Render renders an image. It fails with a *SpecError if the image has no plain background
// that could become transparent.
func Render(src image.Image, s Spec) (Result, error) { return Result{}, errNotWritten }
