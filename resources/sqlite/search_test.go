package sqlite_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// A search finds the prompts that contain every word, in any order and case.
func TestPage_Query(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir())
	const (
		kitten = "A cute little kitten on a sunny windowsill, Ärger"
		fox    = "A RED striped Fox, Ünïcode ÄПFEL 100% sure_thing"
		cat    = "一只可爱的小猫坐在窗台上"
		greek  = `Ο ΣΊΣΥΦΟΣ "γράφει" C++`
	)
	for _, prompt := range []string{kitten, fox, cat, greek} {
		save(t, c, prompt)
	}
	for query, want := range map[string][]string{
		"kitten windowsill":  {kitten},
		"windowsill kitten":  {kitten},
		"cute  little":       {kitten},
		"\tkitten.\n":        {kitten},
		"“kitten”, (sunny)!": {kitten},
		"ärger":              {kitten},
		"ÄRGER":              {kitten},
		"KITTEN kitten":      {kitten},
		"window":             {kitten},
		"indows":             {kitten},
		"red fox":            {fox},
		"fox red":            {fox},
		"äпfel":              {fox},
		"100%":               {fox},
		"sure_thing":         {fox},
		"sure%thing":         nil,
		"a":                  {fox, kitten},
		"小猫":                 {cat},
		"窗台上 可爱":             {cat},
		"猫":                  {cat},
		"σίσυφος":            {greek},
		`"γράφει"`:           {greek},
		`c++`:                {greek},
		`" OR "`:             nil,
		"kitten fox":         nil,
		"xylophone":          nil,
		"":                   {greek, cat, fox, kitten},
		"?!":                 nil,
	} {
		page, err := c.Page(t.Context(), "local", resources.Saved, query, "", 10)
		require.NoError(t, err, query)
		var got []string
		for _, i := range page {
			got = append(got, i.Prompt)
		}
		assert.Equal(t, want, got, "%q", query)
		other, err := c.Page(t.Context(), "somebody", resources.Saved, query, "", 10)
		require.NoError(t, err)
		assert.Empty(t, other)
	}
}

// A search finds old images too, page by page.
func TestPage_QueryPages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := open(t, folder)
	require.NoError(t, c.Ready(t.Context()))
	fill(t, folder, 3500)
	for query, want := range map[string]int{"NUMBER fox": 3500, "number 12": 201, "2500": 1, "44": 126, "absent": 0} {
		got, cursor := map[string]bool{}, ""
		for {
			page, err := c.Page(t.Context(), "local", resources.Saved, query, cursor, 50)
			require.NoError(t, err)
			for _, i := range page {
				for word := range strings.FieldsSeq(strings.ToLower(query)) {
					assert.Contains(t, i.Prompt, word)
				}
				got[i.ID] = true
			}
			if len(page) < 50 {
				break
			}
			cursor = page[len(page)-1].ID
		}
		matching := 0
		for n := 1; n <= 3500; n++ {
			prompt, all := fmt.Sprintf("image number %d of a fox in the snow", n), true
			for word := range strings.FieldsSeq(strings.ToLower(query)) {
				all = all && strings.Contains(prompt, word)
			}
			if all {
				matching++
			}
		}
		assert.Len(t, got, matching, query)
		assert.GreaterOrEqual(t, matching, min(want, 1), query)
	}
}

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
