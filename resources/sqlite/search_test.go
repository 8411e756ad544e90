package sqlite_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlcatalog"
)

// Queries with characters that the index does not support do not fail, and also find
// old images, which only the index or a scan can find.
func TestPage_QueryNotInIndex(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := open(t, folder)
	for _, prompt := range []string{"a sign that reads ᎣᏏᏲ ꭳꮟꮒ", "𞤀𞤣𞤤𞤢𞤥 𞤆𞤵𞤤𞤢𞤪", "nul\x00byte \xff fox", "ᲂ old letter"} {
		save(t, c, prompt)
	}
	db := openSQLite(t, folder)
	_, err := db.ExecContext(t.Context(), `UPDATE images SET id='!' || rowid`)
	require.NoError(t, err)
	fill(t, folder, 1500) // newer images
	for query, want := range map[string]int{
		"ᎣᏏᏲ": 1, "ꭳꮟᏺ": 1, "ꭳꮟꮒ": 1, "𞤀𞤣𞤤𞤢𞤥": 1, "𞤢𞤣𞤤𞤢𞤥": 1, "𞤆𞤵𞤤𞤢𞤪 𞤀𞤣𞤤": 1,
		"l\x00b": 1, "a\x00b": 0, "\x00\x00\x00": 0, "nul\x00byte": 1, "\xff fox": 1, "ᲂ": 1, "letter": 1,
	} {
		page, err := c.Page(t.Context(), "local", resources.Saved, query, "", 10)
		require.NoError(t, err, "%q", query)
		assert.Len(t, page, want, "%q", query)
	}
}

// A search finds the images that a look at every prompt finds, also older ones than it
// reads before it uses the index, and at the end of a prompt.
func TestPage_QueryOfOldImages(t *testing.T) {
	t.Parallel()
	prompts := []string{
		"一只可爱的小猫", "小猫 in 雪山", "雪", "a fox", "fo", "FO x", "8k", "night in 8K", "ﬁ", "straße", "ſtraße", "\u212Aelvin", "ÄÖ", "äö", "nul\x00b",
		"over in the night", "it", "i", "99 9", "a\"b", "\xff", "日本語 abc", "語", "🦊🦊", "🦊", "qq", "q", "\uffffb", "x\ufffe",
	}
	folder := t.TempDir()
	c := open(t, folder)
	for _, prompt := range prompts {
		save(t, c, prompt)
	}
	db := openSQLite(t, folder)
	_, err := db.ExecContext(t.Context(), `UPDATE images SET id='!' || rowid`)
	require.NoError(t, err)
	fill(t, folder, 1500) // newer images
	queries := slices.Clone(prompts)
	for _, prompt := range prompts {
		runes := []rune(prompt)
		for at := range runes {
			queries = append(queries, string(runes[at:]), string(runes[at:min(at+2, len(runes))]), string(runes[at:min(at+1, len(runes))]))
		}
	}
	queries = append(queries, "xq", "猫咪", "小猫 雪", "小猫 xq", "fo zz", "雪山 in", "语")
	newer := sqlcatalog.Fold("image number 1500 of a fox in the snow")
	for _, query := range queries {
		want := 0
		folded := strings.Fields(sqlcatalog.Fold(query))
		for n, word := range folded {
			folded[n] = cmp.Or(strings.TrimFunc(word, unicode.IsPunct), word)
		}
		contains := func(prompt string) bool {
			return !slices.ContainsFunc(folded, func(word string) bool { return !strings.Contains(sqlcatalog.Fold(prompt), word) })
		}
		if len(folded) == 0 || contains(newer) {
			continue // the limit would leave out old images
		}
		for _, prompt := range prompts {
			if contains(prompt) {
				want++
			}
		}
		page, err := c.Page(t.Context(), "local", resources.Saved, query, "", 1000)
		require.NoError(t, err, "%q", query)
		old := slices.DeleteFunc(page, func(i resources.Image) bool { return i.ID[0] != '!' })
		assert.Len(t, old, want, "%q", query)
	}
}

// Remove deletes the prompt of an image from the index.
func TestPage_QueryAfterRemove(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := open(t, folder)
	i := save(t, c, "a secret plan")
	_, err := c.Remove(t.Context(), "local", i.ID)
	require.NoError(t, err)
	db := openSQLite(t, folder)
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM prompts WHERE prompts MATCH '"sec"'`).Scan(&n))
	assert.Zero(t, n)
}

// No query fails.
func FuzzQuery(f *testing.F) {
	f.Add("a red fox", "fox red")
	f.Add(`"quoted" (words)`, `"words`)
	f.Add("一只可爱的小猫", "小猫")
	folder := f.TempDir()
	c := open(f, folder)
	require.NoError(f, c.Ready(f.Context()))
	fill(f, folder, 1500) // so that the index is used
	f.Fuzz(func(t *testing.T, prompt, query string) {
		if len(query) > resources.MaxQuery {
			return
		}
		save(t, c, prompt)
		_, err := c.Page(t.Context(), "local", resources.Saved, query, "", 5)
		require.NoError(t, err)
	})
}
