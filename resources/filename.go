package resources

import (
	"path"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// fileName returns the path of a new image relative to the store's folder:
// YYYY/MM/DD/<words-of-the-prompt>-<id>.<extension>, with slashes.
func fileName(created time.Time, prompt, id, extension string) string {
	return created.UTC().Format("2006/01/02/") + slug(prompt) + "-" + id + extension
}

// slug returns the beginning of a prompt in a form that is safe in a file name.
// It keeps the letters and combining marks of all scripts, which file systems
// accept and people can read.
func slug(prompt string) string {
	const maxBytes = 48
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(prompt) {
		isMark := unicode.Is(unicode.M, r) && !unicode.Is(unicode.Variation_Selector, r)
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r):
		case isMark && b.Len() > 0 && !gap: // combines with the letter before it
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

// imageFile matches the file names that this program gives to images.
var imageFile = regexp.MustCompile(`-([0-9a-hjkmnp-tv-z]{26})\.(?:png|jpg|webp|gif)$`)

// imageExtensions returns the extensions of these names, the most frequent first.
func imageExtensions() []string { return []string{".png", ".jpg", ".webp", ".gif"} }

// ImageFileID returns the id of the image in a file with this name. ok is false if
// this program gives no such names to images, or if a part of the name is hidden.
func ImageFileID(name string) (id string, ok bool) {
	m := imageFile.FindStringSubmatch(name)
	if m == nil || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
		return "", false
	}
	return m[1], ValidID(m[1])
}

// RedactName returns a file's name without the words of its prompt, for errors
// and logs.
func RedactName(name string) string {
	base := path.Base(name)
	return path.Join(path.Dir(name), "…"+base[strings.LastIndexByte(base, '-')+1:])
}
