// Package plaintext makes text of unknown origin safe to print: prompts, file
// names and messages may hold sequences that change a terminal's title or
// clipboard, hide lines, or turn the direction of the text around them.
package plaintext

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Line returns text on one line, cut to a number of characters unless that is
// 0. White space becomes single spaces, and what cannot be printed an escape
// like \x1b.
func Line(text string, most int) string {
	text = Text(strings.Join(strings.Fields(text), " "))
	if most > 0 {
		text = Truncate(text, most)
	}
	return text
}

// Truncate returns text of at most so many characters, the last of which is an
// ellipsis if something was cut off. most is at least 1.
func Truncate(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// Text is Line for text of several lines, which it keeps.
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

// JSON escapes in a JSON document what encoding/json leaves as it is.
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

// unsafe reports whether a character may do more than show itself. The two
// joiners, which many scripts and emoji need, only shape their neighbours.
func unsafe(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return !unicode.IsGraphic(r) && r != '\n' && r != '\t' && r != nonJoiner && r != joiner
}
