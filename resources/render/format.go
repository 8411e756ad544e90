package render

import "strings"

// Format is a file format.
type Format string

// The formats, named as in a Spec's text.
const (
	PNG  Format = "png"
	JPEG Format = "jpg"
	WebP Format = "webp"
	ICO  Format = "ico"
)

// MIMEType returns the media type of a format, "" if the format is unknown.
func (f Format) MIMEType() string {
	switch f {
	case PNG:
		return "image/png"
	case JPEG:
		return "image/jpeg"
	case WebP:
		return "image/webp"
	case ICO:
		return "image/x-icon"
	default:
		return ""
	}
}

// Extension returns the extension of a format, with its dot.
func (f Format) Extension() string { return "." + string(f) }

// FormatOf returns the format for the extension of a file name, in any case, with or without
// its dot. ok is false if there is none.
func FormatOf(extension string) (f Format, ok bool) {
	switch name := strings.ToLower(strings.TrimPrefix(extension, ".")); name {
	case "png", "jpg", "webp", "ico":
		return Format(name), true
	case "jpeg":
		return JPEG, true
	default:
		return "", false
	}
}

// FormatOfType returns the format of a media type. ok is false if there is none.
func FormatOfType(mimeType string) (f Format, ok bool) {
	for _, f := range []Format{PNG, JPEG, WebP, ICO} {
		if f.MIMEType() == mimeType {
			return f, true
		}
	}
	if mimeType == "image/vnd.microsoft.icon" {
		return ICO, true
	}
	return "", false
}

// hasAlpha reports whether files of a format can be transparent.
func (f Format) hasAlpha() bool { return f != JPEG }
