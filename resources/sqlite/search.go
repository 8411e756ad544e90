package sqlite

import (
	"strings"
	"unicode"

	"zai-image-mcp/resources/sqlcatalog"
)

// candidates returns the condition that the trigrams of all words occur in a prompt,
// with its argument. It is "" if no word has a trigram that can be looked up.
func candidates(words []string) (condition string, argument any) {
	terms := sqlcatalog.Trigrams(words, isUnindexed)
	if len(terms) == 0 {
		return "", nil
	}
	for n, trigram := range terms {
		terms[n] = `"` + strings.ReplaceAll(trigram, `"`, `""`) + `"`
	}
	return `rowid IN (SELECT rowid FROM prompts WHERE prompts MATCH ?)`, strings.Join(terms, " AND ")
}

// isUnindexed reports whether trigrams with a character cannot be looked up in
// the index: FTS5 ends an expression at NUL, replaces invalid UTF-8 differently,
// and does not fold the case of scripts whose lower or upper case came after
// Unicode 6.1, such as Cherokee and Adlam.
func isUnindexed(r rune) bool {
	hasCase := unicode.SimpleFold(r) != r
	return r == 0 || r == unicode.ReplacementChar || hasCase && (r >= 0x10a0 && r < 0x1e00 || r >= 0x2c00)
}
