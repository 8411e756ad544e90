package zai

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clip makes untrusted text safe to show. It returns a single line without
// control characters, of at most limit characters and an ellipsis.
func clip(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return -1
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, head(text, limit*utf8.UTFMax*2))
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit]) + "…"
}

// identifier removes blanks, markup and other characters that ids and codes do
// not have, and cuts the text to limit characters.
func identifier(text string, limit int) string {
	return clip(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.:/@+=", r) {
			return r
		}
		return -1
	}, head(text, limit*utf8.UTFMax*2)), limit)
}

// maxMessage is the length to which messages of the service are cut, in
// characters.
const maxMessage = 300

var (
	markupBlock = regexp.MustCompile(`(?is)<script\b.*?(</script\s*>|$)|<style\b.*?(</style\s*>|$)|<!--.*?(-->|$)`)
	markupTag   = regexp.MustCompile(`(?s)<[a-zA-Z/!?][^>]*(>|$)`)
	markdown    = regexp.MustCompile(`(?s)!?\[([^\[\]]*)\](\([^()]*(\)|$)|:\s*\S*://\S*)`)
)

// plainText removes the markup from a message of the service, because models
// read it and hosts render it, and cuts it to maxMessage characters.
func plainText(text string) string {
	const enough = 8 << 10
	text = clip(text, enough) // first, because the characters that clip removes can hide markup
	text = markupBlock.ReplaceAllString(text, " ")
	for stripped := ""; stripped != text; {
		stripped = text
		text = markupTag.ReplaceAllString(text, " ")
		text = markdown.ReplaceAllString(text, "$1")
	}
	text = strings.ReplaceAll(text, "](", "] (")
	return clip(strings.Join(strings.Fields(text), " "), maxMessage)
}

// maxExcerpt is the largest size of Error.Answer, in bytes.
const maxExcerpt = 4 << 10

// printable removes characters that cannot be stored or shown from the text of
// a response. It keeps line feeds.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || unicode.IsPrint(r) && r != utf8.RuneError:
			return r
		case unicode.IsSpace(r):
			return ' '
		default:
			return -1
		}
	}, text)
}

// head returns the first limit bytes of a text, or all of a shorter one.
func head[T ~string | ~[]byte](text T, limit int) string { return string(text[:min(len(text), limit)]) }
