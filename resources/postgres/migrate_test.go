package postgres_test

import (
	"net/url"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/postgres"
	"zai-image-mcp/resources/sqlcatalog"
)

// connect returns a connection to a database.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(t.Context()) })
	return c
}

func TestMigrations_Concurrent(t *testing.T) {
	t.Parallel()
	url := testrig.Postgres(t)
	var all sync.WaitGroup
	for range 8 {
		c := open(t, url)
		all.Go(func() { assert.NoError(t, c.Ready(t.Context())) })
	}
	all.Wait()
	var steps int
	require.NoError(t, connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM schema_migrations`).Scan(&steps))
	assert.Equal(t, postgres.Newest(), steps)
}

// The tables are created in the schema that the URL names.
func TestMigrations_SearchPath(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	testrig.PostgresExec(t, database, `CREATE SCHEMA one; CREATE SCHEMA two`)
	for _, schema := range []string{"one", "two"} {
		c := open(t, database+"&search_path="+schema)
		i := save(t, c, "ann", "a fox")
		page, err := c.Page(t.Context(), "ann", resources.Saved, "fox", "", 10)
		require.NoError(t, err)
		require.Len(t, page, 1)
		assert.Equal(t, i.ID, page[0].ID)
		assert.Contains(t, c.Name(), "search_path="+schema)
	}
}

func TestMigrations_NewerSchema(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reader int
		refuse bool
	}{
		"compatible":   {reader: postgres.Newest()},
		"incompatible": {reader: postgres.Newest() + 1, refuse: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := testrig.Postgres(t)
			require.NoError(t, open(t, database).Ready(t.Context()))
			_, err := connect(t, database).Exec(t.Context(), `INSERT INTO schema_migrations (version, name, reader) VALUES (1000, 'later', $1)`, test.reader)
			require.NoError(t, err)
			c := open(t, database)
			err = c.Ready(t.Context())
			if !test.refuse {
				require.NoError(t, err)
				save(t, c, "ann", "x")
				return
			}
			requireReason(t, err, "it was made by a newer version of this program", "newest version of this program")
		})
	}
}

// Files of images that were saved before version 4 were not examined for marks.
func TestMigrations_Exports(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	before := save(t, open(t, database), "ann", "x")
	_, err := connect(t, database).Exec(t.Context(), `DROP TABLE exports; ALTER TABLE images DROP COLUMN marks;
		DROP INDEX image_prompts_by_term; DROP FUNCTION image_terms; DELETE FROM schema_migrations WHERE version >= 4`)
	require.NoError(t, err)
	c := open(t, database)
	row, err := c.Row(t.Context(), before.ID)
	require.NoError(t, err)
	assert.Equal(t, resources.Saved, row.State)
	assert.Nil(t, row.Marks)
	record := resources.Exported{Path: "/p/hero.png", ImageID: before.ID, Spec: "png", SHA256: "00", Bytes: 1, CreatedAt: time.UnixMilli(1).UTC()}
	require.NoError(t, c.RecordExport(t.Context(), record))
	exports, err := c.ExportsOf(t.Context(), before.ID)
	require.NoError(t, err)
	assert.Equal(t, []resources.Exported{record}, exports)
}

func TestMigrations_Encoding(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	testrig.PostgresExec(t, database, `CREATE DATABASE zai_test_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0`)
	t.Cleanup(func() { testrig.PostgresExec(t, database, `DROP DATABASE zai_test_ascii`) })
	address, err := url.Parse(database)
	require.NoError(t, err)
	address.Path = "/zai_test_ascii"
	c, err := postgres.New(postgres.Options{URL: address.String(), Log: discard()})
	require.NoError(t, err)
	err = c.Ready(t.Context())
	require.NoError(t, c.Close())
	requireReason(t, err, "the encoding of the database is not UTF8", "ENCODING 'UTF8'")
}

// The database folds letters as the program does, for all that candidates looks up.
func TestMigrations_Fold(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	require.NoError(t, open(t, database).Ready(t.Context()))
	text := []rune{}
	for r := rune(1); r <= 0x10ffff; r++ {
		if folded := []rune(sqlcatalog.Fold(string(r)))[0]; r < 0x530 || folded < 0x530 || folded == r && r%97 == 0 && utf8.ValidRune(r) {
			text = append(text, r)
		}
	}
	for ; len(text) > 0; text = text[min(20_000, len(text)):] {
		part := string(text[:min(20_000, len(text))])
		var folded string
		require.NoError(t, connect(t, database).QueryRow(t.Context(), `SELECT image_fold($1)`, part).Scan(&folded))
		require.Equal(t, sqlcatalog.Fold(part), folded)
	}
}

// The index of short words contains the prompts that were there before it.
func TestMigrations_ShortWords(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	i := save(t, open(t, database), "ann", "一只红色的狐狸")
	testrig.PostgresExec(t, database, `DROP INDEX image_prompts_by_term; DROP FUNCTION image_terms;
		DELETE FROM schema_migrations WHERE version >= 5;
		UPDATE images SET id = '!'; UPDATE image_prompts SET id = '!'`)
	c := open(t, database)
	for range 1200 { // newer images, which a search reads before it uses the index
		save(t, c, "ann", "an owl")
	}
	page, err := c.Page(t.Context(), "ann", resources.Saved, "狐狸", "", 10)
	require.NoError(t, err)
	require.Len(t, page, 1)
	assert.Equal(t, i.Prompt, page[0].Prompt)
}
