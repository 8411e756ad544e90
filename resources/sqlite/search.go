package sqlite

import (
	"slices"
	"strings"
	"unicode"
)

// candidates returns the condition that the trigrams of all words occur in a prompt,
// with its argument. It is "" if no word has a trigram that can be looked up.
func candidates(words []string) (condition string, argument any) {
	var terms []string
	for _, word := range words {
		for runes := []rune(word); len(runes) >= 3; runes = runes[1:] {
			if trigram := runes[:3]; !slices.ContainsFunc(trigram, isUnindexed) {
				terms = append(terms, `"`+strings.ReplaceAll(string(trigram), `"`, `""`)+`"`)
			}
		}
	}
	if len(terms) == 0 {
		return "", nil
	}
	slices.Sort(terms)
	return `rowid IN (SELECT rowid FROM prompts WHERE prompts MATCH ?)`, strings.Join(slices.Compact(terms), " AND ")
}

// isUnindexed reports whether trigrams with a character cannot be looked up in
// the index: FTS5 ends an expression at NUL, replaces invalid UTF-8 differently,
// and does not fold the case of scripts whose lower or upper case came after
// Unicode 6.1, such as Cherokee and Adlam.
func isUnindexed(r rune) bool {
	hasCase := unicode.SimpleFold(r) != r
	return r == 0 || r == unicode.ReplacementChar || hasCase && (r >= 0x10a0 && r < 0x1e00 || r >= 0x2c00)
}
