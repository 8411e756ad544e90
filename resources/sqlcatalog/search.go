package sqlcatalog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"zai-image-mcp/resources"
)

// words are those of a search: each must occur in the prompt, in any order and case,
// possibly as part of another word. They are folded (see Fold).
type words []string

// parseQuery splits a text at white space and trims punctuation from its words.
func parseQuery(text string) (list words) {
	for field := range strings.FieldsSeq(Fold(text)) {
		word := strings.TrimFunc(field, unicode.IsPunct)
		if word == "" {
			word = field
		}
		list = append(list, word)
	}
	return list
}

// matches reports whether every word occurs in a prompt.
func (w words) matches(prompt string) bool {
	prompt = Fold(prompt)
	for _, word := range w {
		if !strings.Contains(prompt, word) {
			return false
		}
	}
	return true
}

// Fold maps letters that differ only in case to one of them, in every script (Unicode
// simple case folding).
func Fold(text string) string {
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

// maxTrigrams is the number of trigrams that Trigrams returns if there are not more words.
// Looking up more of them would take longer than reading the prompts that contain these but
// not the words.
const maxTrigrams = 6

// Trigrams returns sequences of three letters in folded words, sorted, for the index of a
// database: at least one of each word that has any. It leaves out those with a letter that
// the index lacks.
func Trigrams(words []string, lacks func(rune) bool) (list []string) {
	for _, word := range words {
		var all []string
		for runes := []rune(word); len(runes) >= 3; runes = runes[1:] {
			if trigram := runes[:3]; !slices.ContainsFunc(trigram, lacks) {
				all = append(all, string(trigram))
			}
		}
		most := min(len(all), max(1, maxTrigrams/len(words)))
		for n := range most { // evenly, with the first and the last one
			list = append(list, all[n*(len(all)-1)/max(1, most-1)])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

const (
	// recentImages is the number of the newest images that a search reads first. Common
	// words usually occur in them, and the index would return every image with such a
	// word.
	recentImages = 1000
	// mostRead is the number of images that a search reads in place of using the index, if
	// it is likely to find enough among them.
	mostRead = 16_000
)

// search returns a page of the matching images, newest first. It limits the number
// of concurrent searches, so that lists do not wait for connections.
func (c *Catalog) search(ctx context.Context, owner string, w words, before string, limit int, state resources.State) ([]resources.Image, error) {
	select {
	case c.searchSlots <- struct{}{}:
		defer func() { <-c.searchSlots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	db, err := c.engine.DB(ctx)
	if err != nil {
		return nil, err
	}
	found, err := c.find(ctx, db.Read, owner, w, before, limit, state)
	if err != nil {
		return nil, err
	}
	var list []resources.Image
	for _, id := range found {
		switch row, err := c.Row(ctx, id); {
		case err == nil && row.State == state:
			list = append(list, row.Image)
		case err != nil && !errors.Is(err, resources.ErrNotFound): // a missing image was removed meanwhile
			return nil, err
		}
	}
	return list, nil
}

// find returns the ids of the matching images, newest first. It reads pages of growing
// size, because some databases send a whole result even if its reader stops.
//
// It starts from the index of words, if there is one, and not from that of the owner's
// images, once few images seem to match, because few of the newest ones did.
func (c *Catalog) find(ctx context.Context, q Querier, owner string, w words, before string, limit int, state resources.State) (found []string, err error) {
	const candidates = `SELECT id, prompt FROM images WHERE `
	statement, further := candidates+`owner=? AND state=? AND id < ? ORDER BY id DESC LIMIT ?`, []any{}
	indexed, all := false, 0 // whether the index was tried, and how many images were read
	for size := recentImages; ; size *= 4 {
		arguments := append(append([]any{owner, string(state), before}, further...), size)
		matching, read, last, err := c.filter(ctx, q, w, limit-len(found), statement, arguments...)
		if err != nil {
			return nil, err
		}
		if found = append(found, matching...); len(found) >= limit || read < size {
			return found, nil
		}
		before = last
		if all += read; indexed || limit*all <= mostRead*len(found) {
			continue
		}
		indexed = true
		switch condition, argument, err := c.dialect.Candidates(ctx, q, w); {
		case err != nil:
			return nil, err
		case condition != "":
			owner, state, id := c.dialect.NoIndex("owner"), c.dialect.NoIndex("state"), c.dialect.NoIndex("id")
			statement = candidates + owner + `=? AND ` + state + `=? AND ` + id + ` < ? AND ` + condition + ` ORDER BY ` + id + ` DESC LIMIT ?`
			further = []any{argument}
			size = recentImages / 4
		}
	}
}

// filter reads rows of id and prompt until limit of them match. It returns the ids
// of the matching rows, the number of rows read, and the id of the last row read.
func (c *Catalog) filter(ctx context.Context, q Querier, w words, limit int, statement string, arguments ...any) (found []string, read int, last string, err error) {
	rows, err := c.query(ctx, q, statement, arguments...)
	if err != nil {
		return nil, 0, "", err
	}
	defer rows.Close()
	for len(found) < limit && rows.Next() {
		var prompt string
		if err := rows.Scan(&last, &prompt); err != nil {
			return nil, 0, "", err
		}
		if read++; w.matches(prompt) {
			found = append(found, last)
		}
	}
	return found, read, last, rows.Err()
}
