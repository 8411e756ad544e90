package limit

import "strings"

// Clip cuts a client's text to MaxName bytes, for what is kept or logged.
func Clip(text string) string { return clip(text, MaxName) }

// ClipURI cuts a URI to MaxURI bytes.
func ClipURI(uri string) string { return clip(uri, MaxURI) }

// clip cuts text to n bytes without breaking a character, and marks the cut.
func clip(text string, n int) string {
	if len(text) > n {
		return strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}
