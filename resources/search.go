package resources

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"unicode"
)

// MaxQuery is the longest search query in bytes.
const MaxQuery = 1000

// query is a parsed search: every word must occur in the prompt, in any order
// and case, possibly as part of another word.
type query struct {
	words    []string // folded
	trigrams string   // FTS5 expression that every match satisfies; "" if there is none
}

// parseQuery splits a text at white space and trims punctuation from its words.
func parseQuery(text string) query {
	var q query
	var terms []string
	for field := range strings.FieldsSeq(foldCase(text)) {
		word := strings.TrimFunc(field, unicode.IsPunct)
		if word == "" {
			word = field
		}
		q.words = append(q.words, word)
		for runes := []rune(word); len(runes) >= 3; runes = runes[1:] {
			if trigram := runes[:3]; !slices.ContainsFunc(trigram, isUnindexed) {
				terms = append(terms, `"`+strings.ReplaceAll(string(trigram), `"`, `""`)+`"`)
			}
		}
	}
	slices.Sort(terms)
	q.trigrams = strings.Join(slices.Compact(terms), " AND ")
	return q
}

// isUnindexed reports whether trigrams with a character cannot be looked up in
// the index: FTS5 ends an expression at NUL, replaces invalid UTF-8 differently,
// and does not fold the case of scripts whose lower or upper case came after
// Unicode 6.1, such as Cherokee and Adlam.
func isUnindexed(r rune) bool {
	hasCase := unicode.SimpleFold(r) != r
	return r == 0 || r == unicode.ReplacementChar || hasCase && (r >= 0x10a0 && r < 0x1e00 || r >= 0x2c00)
}

// matches reports whether every word occurs in a prompt.
func (q query) matches(prompt string) bool {
	prompt = foldCase(prompt)
	for _, word := range q.words {
		if !strings.Contains(prompt, word) {
			return false
		}
	}
	return true
}

// foldCase maps letters that differ only in case to one of them, in every script
// (Unicode simple case folding).
func foldCase(text string) string {
	return strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII {
			return unicode.ToLower(r)
		}
		folded := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			folded = min(folded, next)
		}
		if folded < unicode.MaxASCII {
			return unicode.ToLower(folded)
		}
		return folded
	}, text)
}

// recentImages is the number of the newest images that a search reads before it uses
// the index. Common words usually occur in them, and the index would return every
// image with such a word.
const recentImages = 1000

// search returns a page of the matching images, newest first. It limits the number
// of concurrent searches, so that lists do not wait for connections.
func (c *catalog) search(ctx context.Context, owner string, q query, before string, limit int, state State) ([]Image, error) {
	select {
	case c.searchSlots <- struct{}{}:
		defer func() { <-c.searchSlots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	db, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	const candidates = `SELECT id, prompt FROM images WHERE owner=? AND state=? AND id<?`
	found, read, last, err := q.filter(ctx, db.read, limit, candidates+` ORDER BY id DESC LIMIT ?`, owner, state, before, recentImages)
	if err == nil && len(found) < limit && read == recentImages {
		statement, arguments := candidates+` ORDER BY id DESC`, []any{owner, state, last}
		if q.trigrams != "" {
			statement = candidates + ` AND rowid IN (SELECT rowid FROM prompts WHERE prompts MATCH ?) ORDER BY id DESC`
			arguments = append(arguments, q.trigrams)
		}
		var older []string
		older, _, _, err = q.filter(ctx, db.read, limit-len(found), statement, arguments...)
		found = append(found, older...)
	}
	if err != nil {
		return nil, err
	}
	var list []Image
	for _, id := range found {
		switch i, err := c.getByID(ctx, id); {
		case err == nil:
			list = append(list, i)
		case !errors.Is(err, ErrNotFound): // a missing image was removed meanwhile
			return nil, err
		}
	}
	return list, nil
}

// filter reads rows of id and prompt until limit of them match. It returns the ids
// of the matching rows, the number of rows read, and the id of the last row read.
func (q query) filter(ctx context.Context, db *sql.DB, limit int, statement string, arguments ...any) (found []string, read int, last string, err error) {
	rows, err := db.QueryContext(ctx, statement, arguments...)
	if err != nil {
		return nil, 0, "", err
	}
	defer rows.Close()
	for len(found) < limit && rows.Next() {
		var prompt string
		if err := rows.Scan(&last, &prompt); err != nil {
			return nil, 0, "", err
		}
		if read++; q.matches(prompt) {
			found = append(found, last)
		}
	}
	return found, read, last, rows.Err()
}
