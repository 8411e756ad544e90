package plaintext

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Line returns text on one line, truncated to at most limit characters unless
// limit is 0. Runs of white space become single spaces; characters that are not
// safe to print become escapes like \x1b.
func Line(text string, limit int) string {
	text = Text(strings.Join(strings.Fields(text), " "))
	if limit > 0 {
		text = Truncate(text, limit)
	}
	return text
}

// Truncate returns text with at most limit characters. If it cuts text off, the
// last character is an ellipsis. limit must be at least 1.
func Truncate(text string, limit int) string {
	if r := []rune(text); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return text
}

// Text escapes the same characters as Line, but keeps line breaks and other
// white space.
func Text(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if strings.IndexFunc(text, unsafe) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if !unsafe(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
	}
	return b.String()
}

// JSON escapes the characters of a JSON document that are unsafe to print and
// that encoding/json does not escape.
func JSON(document []byte) []byte {
	if bytes.IndexFunc(document, unsafe) < 0 {
		return document
	}
	var b bytes.Buffer
	for _, r := range string(document) {
		switch {
		case !unsafe(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// unsafe reports whether a character may affect a terminal. The zero-width
// joiner and non-joiner are safe: they only affect how adjacent characters are
// drawn, and many scripts and emoji need them.
func unsafe(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return !unicode.IsGraphic(r) && r != '\n' && r != '\t' && r != nonJoiner && r != joiner
}
