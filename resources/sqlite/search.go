package sqlite

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"zai-image-mcp/resources/sqlcatalog"
)

const (
	// mostCandidates is the number of images up to which reading their prompts takes less
	// time than looking up short words.
	mostCandidates = 2000
	// mostShort is the number of short words that are looked up, and mostTerms that of
	// the trigrams that may begin with one. The database reads all entries of each.
	mostShort, mostTerms = 4, 100
)

// candidates returns the condition that some trigrams of all words occur in a prompt, with
// its argument. It is "" if no word can be looked up. Unless few images fulfill it, some
// words that are shorter than a trigram are looked up too.
func candidates(ctx context.Context, q sqlcatalog.Querier, words []string) (condition string, argument any, err error) {
	var terms []string
	for _, trigram := range sqlcatalog.Trigrams(words, isUnindexed) {
		terms = append(terms, quote(trigram))
	}
	few, err := matchFew(ctx, q, terms)
	if err != nil {
		return "", nil, err
	}
	for _, word := range shortWords(words) {
		if few {
			break
		}
		list, err := termsWithPrefix(ctx, q, word)
		switch {
		case err != nil:
			return "", nil, err
		case len(list) == 0:
			return `id=?`, "", nil // no prompt contains the word
		case len(list) <= mostTerms:
			terms = append(terms, "("+strings.Join(list, " OR ")+")")
		}
	}
	if len(terms) == 0 {
		return "", nil, nil
	}
	return `rowid IN (SELECT rowid FROM prompts WHERE prompts MATCH ?)`, strings.Join(terms, " AND "), nil
}

// matchFew reports whether fewer than mostCandidates images match all terms.
func matchFew(ctx context.Context, q sqlcatalog.Querier, terms []string) (bool, error) {
	if len(terms) == 0 {
		return false, nil
	}
	var n int
	row := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM prompts WHERE prompts MATCH ? LIMIT ?)`, strings.Join(terms, " AND "), mostCandidates)
	err := row.Scan(&n)
	return n < mostCandidates, err
}

// shortWords returns the words that are shorter than a trigram and can be looked up, at
// most mostShort of them.
func shortWords(words []string) (list []string) {
	for _, word := range words {
		if len(list) < mostShort && isShort(word) && !slices.Contains(list, word) {
			list = append(list, word)
		}
	}
	return list
}

// quote returns a string of an FTS5 expression.
func quote(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

// isUnindexed reports whether trigrams with a character cannot be looked up in
// the index: FTS5 ends an expression at NUL, replaces invalid UTF-8 differently
// and also U+FFFE and U+FFFF, and does not fold the case of scripts whose lower or
// upper case came after Unicode 6.1, such as Cherokee and Adlam.
func isUnindexed(r rune) bool {
	hasCase := unicode.SimpleFold(r) != r
	return r == 0 || r|1 == 0xffff || r == unicode.ReplacementChar || hasCase && (r >= 0x10a0 && r < 0x1e00 || r >= 0x2c00)
}

// isShort reports whether a folded word has to be looked up by the trigrams that begin
// with it: it has two characters, or one that is not in ASCII, which begins too many. The
// index has letters with cases in a form of its own, apart from those in ASCII.
func isShort(word string) bool {
	runes := []rune(word)
	if len(runes) > 2 || len(runes) == 1 && runes[0] <= unicode.MaxASCII {
		return false
	}
	for _, r := range runes {
		if isUnindexed(r) || r > unicode.MaxASCII && unicode.SimpleFold(r) != r {
			return false
		}
	}
	return true
}

// termsWithPrefix returns the trigrams of the index that begin with a word, quoted, or
// mostTerms+1 of them if there are more.
func termsWithPrefix(ctx context.Context, q sqlcatalog.Querier, word string) (list []string, err error) {
	last := word + strings.Repeat(string(unicode.MaxRune), 2)
	rows, err := q.QueryContext(ctx, `SELECT term FROM prompt_terms WHERE term >= ? AND term <= ? LIMIT ?`, word, last, mostTerms+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var term string
		if err := rows.Scan(&term); err != nil {
			return nil, err
		}
		list = append(list, quote(term))
	}
	return list, rows.Err()
}
