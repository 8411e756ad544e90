package gallery

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"zai-image-mcp/resources"
)

// command returns the command that makes an image with the same prompt and settings, for a
// POSIX shell.
func command(i resources.Image) string {
	words := []string{"zai-image-mcp", "generate"}
	if i.Sandbox {
		words = append(words, "--sandbox")
	}
	for _, f := range []struct{ flag, value string }{{"--model", i.Model}, {"--size", i.Size}, {"--quality", i.Quality}} {
		if f.value != "" {
			words = append(words, f.flag, shellQuote(f.value))
		}
	}
	return strings.Join(append(words, "--", shellQuote(i.Prompt)), " ")
}

// shellQuote returns text as one word of a POSIX shell. Characters that a terminal could
// act on when the word is pasted become escapes, so that it is always one line.
func shellQuote(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:"
	switch {
	case text != "" && strings.Trim(text, plain) == "":
		return text
	case utf8.ValidString(text) && !strings.ContainsFunc(text, unsafeToPaste):
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, r := range strings.ToValidUTF8(text, "\ufffd") {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\'' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '!' || unsafeToPaste(r): // an interactive shell may expand the former
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// unsafeToPaste reports whether a terminal or a shell could act on a character.
func unsafeToPaste(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return !unicode.IsGraphic(r) && r != nonJoiner && r != joiner
}
