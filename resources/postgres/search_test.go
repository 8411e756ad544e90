package postgres_test

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlite"
)

// Both databases find the same images, also older ones than a search reads before it uses
// an index.
func TestSearch_LikeSQLite(t *testing.T) {
	t.Parallel()
	words := []string{
		"fox", "FOX", "Füchse", "FÜCHSE", "straße", "STRASSE", "ſtraße", "Kelvin", "\u212Aelvin", "лиса", "ЛИСА", "αλεπού", "ΑΛΕΠΟΎ", "狐狸", "一只红色的狐狸",
		"İstanbul", "ıstanbul", "Ꭰꭰ", "𞤀𞤢", "don't", "50%", "under_score", "back\\slash", `"quoted"`, "a", "ab", "…", "e\u0301te", "Ǆungla", "ǆungla", "ǅungla", "\uFFFD",
	}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(n int) string {
		list := []string{}
		for range n {
			list = append(list, words[random.IntN(len(words))])
		}
		return strings.Join(list, " ")
	}
	rows := []resources.Row{}
	for n := range 1800 {
		prompt := "filler"
		if n < 700 {
			prompt = pick(1 + random.IntN(5))
		}
		i := image("ann", prompt)
		i.State, i.Path = resources.Saved, "a.png"
		rows = append(rows, resources.Row{Image: i})
	}
	slices.SortFunc(rows, func(a, b resources.Row) int { return strings.Compare(a.ID, b.ID) })
	for n := range rows { // the oldest have the words
		if n < 700 == (rows[n].Prompt == "filler") {
			rows[n].Prompt = pick(3)
		}
	}
	pg := open(t, testrig.Postgres(t))
	lite := sqlite.New(sqlite.Options{Path: filepath.Join(t.TempDir(), "catalog.db"), Now: time.Now, Log: discard()})
	defer lite.Close()
	for _, c := range []resources.Catalog{pg, lite} {
		_, err := c.Insert(t.Context(), rows...)
		require.NoError(t, err)
	}
	queries := slices.Clone(words)
	for range 15 {
		query := []rune(pick(1 + random.IntN(2)))
		from := random.IntN(len(query))
		queries = append(queries, string(query[from:]), pick(2), strings.ToUpper(pick(1)), strings.ToLower(pick(1)))
	}
	found := 0
	for _, query := range queries {
		for _, limit := range []int{3, 100} {
			want, err := lite.Page(t.Context(), "ann", resources.Saved, query, "", limit)
			require.NoError(t, err)
			got, err := pg.Page(t.Context(), "ann", resources.Saved, query, "", limit)
			require.NoError(t, err)
			require.Equal(t, ids(want), ids(got), "%q", query)
			found += len(got)
		}
	}
	assert.Greater(t, found, 500)
}

func ids(images []resources.Image) (list []string) {
	for _, i := range images {
		list = append(list, i.ID)
	}
	return list
}
