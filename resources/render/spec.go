// Package render makes files from a decoded image: it scales, crops, pads, removes plain
// backgrounds, and encodes. The same input gives the same bytes. It knows nothing of the
// library.
package render

import (
	"encoding/hex"
	"fmt"
	"image/color"
	"strconv"
	"strings"
)

// MaxSide is the largest width or height of a rendered image in pixels.
const MaxSide = 4096

// maxIconSide is the largest width or height of an ICO file, which stores them in a byte.
const maxIconSide = 256

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
	Width, Height int    // 0 for those of the image; for an ICO file 16, 32 and 48
	Fit           Fit    // "" for Cover
	Background    string // "", Transparent or #rrggbb; of the padding, and of transparent pixels
}

// SpecError reports what is wrong with a Spec, and what to do.
type SpecError struct{ Problem, Hint string }

func (e *SpecError) Error() string { return e.Problem }

// NewSpec returns a checked Spec in its canonical form. size is WIDTHxHEIGHT or "". It fails
// with a *SpecError.
func NewSpec(format Format, size, fit, background string) (Spec, error) {
	s := Spec{Format: format, Fit: Fit(clean(fit))}
	var err error
	if s.Width, s.Height, err = parseSize(clean(size)); err != nil {
		return Spec{}, err
	}
	if s.Background, err = parseBackground(clean(background)); err != nil {
		return Spec{}, err
	}
	if s.Fit == "" && s.sized() {
		s.Fit = Cover
	}
	if err := s.check(); err != nil {
		return Spec{}, err
	}
	return s, nil
}

func clean(argument string) string { return strings.ToLower(strings.TrimSpace(argument)) }

// sized reports whether the size of the file does not depend on the size of the image.
func (s Spec) sized() bool { return s.Width != 0 || s.Height != 0 || s.Format == ICO }

func parseSize(size string) (width, height int, err error) {
	if size == "" {
		return 0, 0, nil
	}
	w, h, ok := strings.Cut(size, "x")
	if !ok || !isNumber(w) || !isNumber(h) {
		return 0, 0, &SpecError{fmt.Sprintf("size %s is not WIDTHxHEIGHT.", quote(size)), "Give a size in pixels, such as 1200x630."}
	}
	width, _ = strconv.Atoi(w)
	height, _ = strconv.Atoi(h)
	return width, height, checkSides(width, height)
}

func checkSides(width, height int) error {
	if min(width, height) < 1 || max(width, height) > MaxSide {
		return &SpecError{
			fmt.Sprintf("The size %dx%d is out of range.", width, height),
			fmt.Sprintf("Use a width and a height from 1 to %d pixels.", MaxSide),
		}
	}
	return nil
}

func isNumber(text string) bool {
	return text != "" && len(text) <= 9 && strings.Trim(text, "0123456789") == ""
}

func parseBackground(text string) (string, error) {
	if text == "" || text == Transparent {
		return text, nil
	}
	digits, ok := strings.CutPrefix(text, "#")
	if ok && len(digits) == 3 {
		d := digits
		digits = string([]byte{d[0], d[0], d[1], d[1], d[2], d[2]})
	}
	if _, err := hex.DecodeString(digits); err != nil || !ok || len(digits) != 6 {
		return "", &SpecError{
			fmt.Sprintf("background %s is neither a color nor transparent.", quote(text)),
			`Use a color such as #ffffff, or "transparent".`,
		}
	}
	return "#" + digits, nil
}

// quote quotes a part of an argument for a message.
func quote(text string) string {
	const most = 40
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.Quote(strings.ToValidUTF8(text, "�"))
}

// check fails with a *SpecError if a Spec cannot be rendered or is not canonical.
func (s Spec) check() error {
	if s.Format.MIMEType() == "" {
		return &SpecError{fmt.Sprintf("There is no format %s.", quote(string(s.Format))), "Use png, jpg, webp or ico."}
	}
	if s.Width != 0 || s.Height != 0 {
		if err := checkSides(s.Width, s.Height); err != nil {
			return err
		}
		if s.Format == ICO && (s.Width != s.Height || s.Width > maxIconSide) {
			return &SpecError{
				fmt.Sprintf("An ICO file cannot have the size %dx%d.", s.Width, s.Height),
				fmt.Sprintf("Use a square of at most %dx%[1]d, or leave out size for an icon with 16, 32 and 48 pixels.", maxIconSide),
			}
		}
	}
	switch {
	case s.Fit != "" && s.Fit != Cover && s.Fit != Contain:
		return &SpecError{fmt.Sprintf("There is no fit %s.", quote(string(s.Fit))), "Use cover, which crops, or contain, which pads."}
	case s.Fit != "" && !s.sized():
		return &SpecError{"fit needs a size.", "Give a size such as 1200x630, or leave out fit."}
	case s.Background == Transparent && !s.Format.hasAlpha():
		return &SpecError{"A JPEG cannot be transparent.", "Use png or webp, or a color such as #ffffff as the background."}
	}
	if canonical, err := parseBackground(s.Background); err != nil {
		return err
	} else if canonical != s.Background {
		return &SpecError{fmt.Sprintf("background %s is not in canonical form.", quote(s.Background)), "Use " + canonical + "."}
	}
	return nil
}

// ParseSpec parses the text of a Spec. It accepts only what String returns for the result
// of NewSpec, and fails with a *SpecError.
func ParseSpec(text string) (Spec, error) {
	var size, fit, background string
	format, rest, _ := strings.Cut(text, "-")
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "-")
		switch {
		case part == string(Cover), part == string(Contain):
			fit = part
		case part == Transparent:
			background = part
		case strings.Contains(part, "x"):
			size = part
		default:
			background = "#" + part
		}
	}
	s, err := NewSpec(Format(format), size, fit, background)
	if err != nil {
		return Spec{}, err
	}
	if s.String() != text {
		return Spec{}, &SpecError{
			fmt.Sprintf("%s is not the canonical name of an export.", quote(text)),
			fmt.Sprintf("Use %s.", s),
		}
	}
	return s, nil
}

// String returns the text of a Spec for URIs and file names: format, size with fit, and
// background, as in webp-1200x630-cover, png-512x512-contain-ffffff, jpg or ico-contain.
func (s Spec) String() string {
	text := string(s.Format)
	switch {
	case s.Width != 0 || s.Height != 0:
		fit := s.Fit
		if fit == "" {
			fit = Cover
		}
		text += fmt.Sprintf("-%dx%d-%s", s.Width, s.Height, fit)
	case s.Fit == Contain:
		text += "-" + string(Contain)
	}
	if s.Background != "" {
		text += "-" + strings.TrimPrefix(s.Background, "#")
	}
	return text
}

// Unchanged reports whether a Spec leaves the pixels of an image in this format as they are.
func (s Spec) Unchanged(original Format) bool {
	return s.Format == original && !s.sized() && s.Background == ""
}

// padding returns the color of the padding, and of what lies behind transparent pixels if
// opaque.
func (s Spec) padding() (c color.RGBA, opaque bool) {
	switch rgb, err := hex.DecodeString(strings.TrimPrefix(s.Background, "#")); {
	case err == nil && len(rgb) == 3:
		return color.RGBA{rgb[0], rgb[1], rgb[2], 255}, true
	case s.Format.hasAlpha():
		return color.RGBA{}, false
	default:
		return color.RGBA{255, 255, 255, 255}, true
	}
}
