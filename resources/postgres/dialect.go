package postgres

import (
	"context"
	"slices"
	"strconv"
	"unicode"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlcatalog"
)

// clock is the expression for the current time of the database in Unix milliseconds.
const clock = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

// DB implements sqlcatalog.Engine. Searches cannot keep other queries from getting a
// connection, because there are more connections than searches.
func (d *database) DB(ctx context.Context) (*sqlcatalog.DB, error) {
	pool, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	return &sqlcatalog.DB{Read: pool, Lookup: pool}, nil
}

// Hold implements sqlcatalog.Engine. Only leases show that a process is alive.
func (d *database) Hold(context.Context, string) {}

// Alive implements sqlcatalog.Engine. Only leases show that a process is alive.
func (d *database) Alive(context.Context, resources.Lease) ([]string, error) { return nil, nil }

// Dialect implements sqlcatalog.Engine.
func (d *database) Dialect() sqlcatalog.Dialect {
	return sqlcatalog.Dialect{
		Placeholder: func(n int) string { return "$" + strconv.Itoa(n) },
		Now:         clock,
		Day: func(milliseconds string) string {
			return `to_char(to_timestamp(` + milliseconds + ` / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD')`
		},
		In:         func(column string) string { return `(` + column + ` = ANY(?::text[]))` },
		List:       func(texts []string) any { return append([]string{}, texts...) }, // nil would be NULL
		NoIndex:    func(column string) string { return column + ` || ''` },
		NextChange: `pg_current_xact_id()::text::bigint`,
		Candidates: candidates,
	}
}

// candidates returns the condition that the sequences of three characters in the words,
// and the words that are shorter, occur in a prompt, with its argument. It is "" if no
// word can be looked up.
func candidates(_ context.Context, _ sqlcatalog.Querier, words []string) (condition string, argument any, err error) {
	terms := sqlcatalog.Trigrams(words, isUnindexed)
	for _, word := range words {
		runes := []rune(word)
		indexed := len(runes) == 2 || len(runes) == 1 && runes[0] > unicode.MaxASCII
		if indexed && !slices.ContainsFunc(runes, isUnindexed) {
			terms = append(terms, word)
		}
	}
	if len(terms) == 0 {
		return "", nil, nil
	}
	return `id IN (SELECT id FROM image_prompts WHERE image_terms(folded) @> ?::text[])`, terms, nil
}

// isUnindexed reports whether sequences with a folded character cannot be looked up: the
// database stores NUL and invalid UTF-8 as another character, and does not fold the
// case of scripts above U+052F.
func isUnindexed(r rune) bool {
	return r == 0 || r == unicode.ReplacementChar || r > 0x52f && unicode.SimpleFold(r) != r
}
