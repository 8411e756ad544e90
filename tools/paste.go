package tools

import (
	"fmt"
	"html"
	"path"
	"strings"
	"unicode"

	"zai-image-mcp/internal/plaintext"
)

// pasteLines returns a line of Markdown and one of HTML that show a file of the project.
// For an icon, it returns the line of HTML that links to it.
func pasteLines(name, alt string, width, height int) []string {
	address := fileAddress(name)
	if path.Ext(name) == ".ico" {
		return []string{fmt.Sprintf(`HTML: <link rel="icon" href="%s">`, html.EscapeString(address))}
	}
	alt = plaintext.Line(alt, 0)
	return []string{
		fmt.Sprintf("Markdown: ![%s](%s)", escapeMarkdown(alt), address),
		fmt.Sprintf(`HTML: <img src="%s" width="%d" height="%d" alt="%s">`, html.EscapeString(address), width, height, html.EscapeString(alt)),
	}
}

// fileAddress returns the relative URL of a file of the project, in a form that needs no
// brackets in Markdown. Letters of all scripts stay as they are.
func fileAddress(name string) string {
	var b strings.Builder
	for _, r := range name {
		if !unicode.IsSpace(r) && !unicode.IsControl(r) && !strings.ContainsRune("\"%#?:;&'<>()[]{}\\^`|*", r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(string(r)) {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// escapeMarkdown escapes the characters that have a meaning within the description of
// an image.
func escapeMarkdown(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune("\\[]`*_<&{}", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
