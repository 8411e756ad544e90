package zai

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clip makes untrusted text safe to show: one line without control characters,
// cut to limit characters.
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

// identifier cleans an id or a code, which has neither blanks nor markup, and
// cuts it to limit characters.
func identifier(text string, limit int) string {
	return clip(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.:/@+=", r) {
			return r
		}
		return -1
	}, head(text, limit*utf8.UTFMax*2)), limit)
}

// maxMessage is how much of a message of the service is kept, in characters.
const maxMessage = 300

var (
	markupBlock = regexp.MustCompile(`(?is)<script\b.*?(</script\s*>|$)|<style\b.*?(</style\s*>|$)|<!--.*?(-->|$)`)
	markupTag   = regexp.MustCompile(`(?s)<[a-zA-Z/!?][^>]*(>|$)`)
	markdown    = regexp.MustCompile(`(?s)!?\[([^\[\]]*)\](\([^()]*(\)|$)|:\s*\S*://\S*)`)
)

// plainText removes the markup from a message of the service, which may be read
// by a model or rendered by a host, and cuts it to maxMessage characters.
func plainText(text string) string {
	const enough = 8 << 10
	text = clip(text, enough) // first, because the characters that it drops can hide markup
	text = markupBlock.ReplaceAllString(text, " ")
	for stripped := ""; stripped != text; {
		stripped = text
		text = markupTag.ReplaceAllString(text, " ")
		text = markdown.ReplaceAllString(text, "$1")
	}
	text = strings.ReplaceAll(text, "](", "] (")
	return clip(strings.Join(strings.Fields(text), " "), maxMessage)
}

// maxExcerpt is how much of a response that was not understood is kept, in bytes.
const maxExcerpt = 4 << 10

// printable removes what cannot be stored or shown from the text of a response.
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

// head returns the beginning of a text, at most limit bytes.
func head[T ~string | ~[]byte](text T, limit int) string { return string(text[:min(len(text), limit)]) }
