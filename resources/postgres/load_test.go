package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/postgres"
	"zai-image-mcp/resources/sqlite"
)

// million is the number of images in the load tests, all of one owner.
const million = 1_000_000

// requireLoad skips a test unless ZAI_TEST_LOAD is set.
func requireLoad(t testing.TB) {
	if os.Getenv("ZAI_TEST_LOAD") == "" {
		t.Skip("NOT TESTED: ZAI_TEST_LOAD is not set")
	}
}

// loadImages returns the statement that inserts images, for each n from a table. Their
// ids have 26 digits. The word zebra is only in the oldest images.
func loadImages(id, numbers string) string {
	return `INSERT INTO images (id, call_id, owner, state, created_ms, updated_ms, day, model, prompt, size, quality, sandbox, cost_micro_usd, charged, path)
		SELECT ` + id + `, ` + id + `, 'ann', 'saved', 1700000000000 + n, 1700000000000 + n, '2023-11-' || (10 + n % 20), 'cogview-4-250304',
		'a ' || CASE n % 7 WHEN 0 THEN 'red' WHEN 1 THEN 'blue' WHEN 2 THEN 'golden' ELSE 'plain' END || ' ' ||
		CASE n % 11 WHEN 0 THEN 'fox' WHEN 1 THEN 'owl' WHEN 2 THEN 'lighthouse' ELSE 'bicycle' END ||
		' in the evening light, number ' || n || CASE WHEN n <= 20 THEN ' with a zebra' ELSE '' END,
		'1024x1024', 'standard', FALSE, 10000, TRUE, '2023/11/10/a.png' FROM ` + numbers
}

func fillPostgres(t testing.TB, database string) {
	t.Helper()
	require.NoError(t, open(t, database).Ready(t.Context()))
	// Triggers and the index of words are slower row by row.
	var definitions string
	conn := connect(t, database)
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT string_agg(indexdef, ';') FROM pg_indexes WHERE indexname LIKE 'image_prompts_by_%'`).Scan(&definitions))
	_, err := conn.Exec(t.Context(), `ALTER TABLE images DISABLE TRIGGER USER; DROP INDEX image_prompts_by_trigram, image_prompts_by_term;`+
		loadImages(`lpad(n::text, 26, '0')`, fmt.Sprintf(`generate_series(1, %d) AS n`, million))+`;
		INSERT INTO image_prompts SELECT id, image_fold(prompt) FROM images;`+definitions+`;
		ALTER TABLE images ENABLE TRIGGER USER; ANALYZE images; ANALYZE image_prompts`)
	require.NoError(t, err)
}

func fillSQLite(t testing.TB, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)")
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), fmt.Sprintf(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %d) `, million)+
		loadImages(`printf('%026d', n)`, "numbers"))
	require.NoError(t, err)
}

// The statements of a running server read few rows of a large catalog.
func TestStatements_UseIndexes(t *testing.T) {
	requireLoad(t)
	database := testrig.Postgres(t)
	fillPostgres(t, database)
	var (
		mu    sync.Mutex
		plans []string
	)
	c, err := postgres.NewTraced(database+"&session_preload_libraries=auto_explain&auto_explain.log_min_duration=0&auto_explain.log_analyze=on&client_min_messages=log",
		func(text string) {
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(text, "Query Text") && strings.Contains(text, "images") {
				plans = append(plans, text)
			}
		})
	require.NoError(t, err)
	defer c.Close()
	serve(t, c)
	require.Greater(t, len(plans), 20)
	for _, plan := range plans {
		assert.Empty(t, wasteful(plan), plan)
	}
	plans = nil
	_, err = c.Verify(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, plans)
	assert.NotEmpty(t, wasteful(plans[len(plans)-1]), "control: this one reads the whole table")
}

// wasteful returns the first step of a plan that reads images in sequence, or reads more
// than a page of a search.
func wasteful(plan string) string {
	for line := range strings.Lines(plan) {
		var removed int
		if _, number, found := strings.Cut(line, "Rows Removed by"); found {
			_, number, _ = strings.Cut(number, ": ")
			_, _ = fmt.Sscan(number, &removed)
		}
		if strings.Contains(line, "Seq Scan on image") || removed > 1000 {
			return line
		}
	}
	return ""
}

// serve runs what a running server does.
func serve(t testing.TB, c resources.Catalog) {
	t.Helper()
	ctx := t.Context()
	i := image("bob", "a fox")
	r := resources.Reservation{
		Images: []resources.Image{i}, Count: 1, Budget: 1_000_000, Lease: lease("one"), Slots: resources.Slots{Key: "key", Limit: 1},
		JoinKey: "join", RejoinWindow: time.Hour,
	}
	outcome, err := c.Reserve(ctx, r)
	require.NoError(t, err)
	i = outcome.New[0]
	outcome, err = c.Reserve(ctx, r)
	require.NoError(t, err)
	require.Len(t, outcome.Joined, 1)
	queued, err := reserve(ctx, c, image("bob", "waits"), 1_000_000)
	require.NoError(t, err)
	_, err = c.Grant(ctx, i.Model, resources.Slots{Key: "key", Limit: 1}, lease("one"))
	require.NoError(t, err)
	cursor := end(t, c)
	require.NoError(t, c.Renew(ctx, lease("one"), []string{i.ID, queued.New[0].ID}, []string{i.ID}))
	i.State = resources.Answered
	require.NoError(t, c.Record(ctx, i, resources.Guard{From: resources.Submitted, Lease: lease("one")}))
	_, err = c.Claim(ctx, resources.Claim{Lease: lease("two"), Limit: 10})
	require.NoError(t, err)
	_, _, err = c.NextClaim(ctx, lease("two"))
	require.NoError(t, err)
	require.NoError(t, c.Park(ctx, i.ID, "one", 0))
	_, err = c.Claim(ctx, resources.Claim{Lease: lease("two"), Limit: 10})
	require.NoError(t, err)
	require.NoError(t, c.BeginDelivery(ctx, lease("two"), []string{i.ID}))
	require.NoError(t, c.EndDelivery(ctx, "two", []string{i.ID}, true))
	i.State = resources.Saved
	require.NoError(t, c.Record(ctx, i, resources.Guard{}))
	_, _ = changed(t, c, cursor)
	_, err = c.Row(ctx, i.ID)
	require.NoError(t, err)
	for _, query := range []string{"", "fox", "zebra", "absentword", "red number 77777"} {
		_, err = c.Page(ctx, "ann", resources.Saved, query, "", 20)
		require.NoError(t, err)
	}
	_, err = c.IDs(ctx, "ann", "000", 20)
	require.NoError(t, err)
	_, err = c.SpentToday(ctx, "bob", false)
	require.NoError(t, err)
	_, err = c.Scan(ctx, "", resources.Saved)
	require.NoError(t, err)
	require.NoError(t, c.Ping(ctx))
}

// The times of both databases with a million images.
func TestLoad_Million(t *testing.T) {
	requireLoad(t)
	path := filepath.Join(t.TempDir(), "catalog.db")
	lite := sqlite.New(sqlite.Options{Path: path, Now: time.Now, Log: discard()})
	defer lite.Close()
	require.NoError(t, lite.Ready(t.Context()))
	begun := time.Now()
	fillSQLite(t, path)
	t.Logf("filled SQLite in %v", time.Since(begun).Round(time.Second))
	database := testrig.Postgres(t)
	begun = time.Now()
	fillPostgres(t, database)
	t.Logf("filled PostgreSQL in %v", time.Since(begun).Round(time.Second))
	var size string
	require.NoError(t, connect(t, database).QueryRow(t.Context(), `SELECT format('database %s, images %s, image_prompts %s, indexes of words %s and %s',
		pg_size_pretty(pg_database_size(current_database())), pg_size_pretty(pg_total_relation_size('images')),
		pg_size_pretty(pg_table_size('image_prompts')), pg_size_pretty(pg_relation_size('image_prompts_by_trigram')), pg_size_pretty(pg_relation_size('image_prompts_by_term')))`).Scan(&size))
	t.Log(size)
	pg := open(t, database)
	for _, engine := range []struct {
		name string
		c    resources.Catalog
	}{{"SQLite", lite}, {"PostgreSQL", pg}} {
		page := func(query, before string) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := engine.c.Page(ctx, "ann", resources.Saved, query, before, 20)
				return err
			}
		}
		for _, operation := range []struct {
			name  string
			times int
			run   func(context.Context) error
		}{
			{"look up", 1000, func(ctx context.Context) error {
				_, err := engine.c.Row(ctx, fmt.Sprintf("%026d", million/2))
				return err
			}},
			{"list the newest 20", 300, page("", "")},
			{"list 20 in the middle", 300, page("", fmt.Sprintf("%026d", million/2))},
			{"search a common word", 50, page("fox", "")},
			{"search a word of the oldest images", 50, page("zebra", "")},
			{"search two common words", 50, page("lighthouse golden", "")},
			{"search an absent word", 50, page("absentword", "")},
			{"search two characters that are absent", 50, page("zq", "")},
			{"search two Chinese characters of no image", 50, page("狐狸", "")},
		} {
			times := measure(t, operation.times, 1, operation.run)
			t.Logf("%-10s  %-38s median %9v  p99 %9v", engine.name, operation.name, times.median, times.p99)
		}
	}
}
