package resources

import (
	"strings"
	"time"
	"unicode"

	"github.com/oklog/ulid/v2"
)

// URIs of the library.
const (
	ModelsURI = "zai-image://models"
	imagesURI = "zai-image://images/"
)

// View is one of the three ways to look at an image.
type View string

// The views, with the last part of their URIs.
const (
	Original View = ""
	Preview  View = "preview"
	Metadata View = "metadata"
)

// URI names a view of an image.
func URI(id string, view View) string {
	if view == Original {
		return imagesURI + id
	}
	return imagesURI + id + "/" + string(view)
}

// ParseURI takes an image's URI apart. Nothing but the exact forms is
// accepted: an id is looked up, never joined to a path.
func ParseURI(uri string) (id string, view View, ok bool) {
	rest, ok := strings.CutPrefix(uri, imagesURI)
	if !ok {
		return "", "", false
	}
	id, last, hasView := strings.Cut(rest, "/")
	view = View(last)
	if hasView && view != Preview && view != Metadata {
		return "", "", false
	}
	return id, view, ValidID(id)
}

// ValidID reports whether text has the form of an id.
func ValidID(text string) bool {
	if len(text) != ulid.EncodedSize || text != strings.ToLower(text) {
		return false
	}
	_, err := ulid.ParseStrict(strings.ToUpper(text))
	return err == nil
}

// fileName makes the path of a new image below the store's folder:
// YYYY/MM/DD/<words-of-the-prompt>-<id>.<extension>, with slashes.
func fileName(created time.Time, prompt, id, extension string) string {
	return created.UTC().Format("2006/01/02/") + slug(prompt) + "-" + id + extension
}

// words returns a short, harmless part of a file name made from a prompt.
// Letters of all scripts stay with the marks that belong to them, as file
// systems and people can read them.
func slug(prompt string) string {
	const maxBytes = 48
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(prompt) {
		isMark := unicode.Is(unicode.M, r) && !unicode.Is(unicode.Variation_Selector, r)
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r):
		case isMark && b.Len() > 0 && !gap: // of the letter before it
		default:
			gap = b.Len() > 0
			continue
		}
		if b.Len()+len(string(r))+1 > maxBytes {
			break
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return "image"
	}
	return b.String()
}
