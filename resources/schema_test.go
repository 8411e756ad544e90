package resources_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// A catalog of the first version is upgraded and keeps its images.
func TestMigrate_FirstVersion(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	catalog := filepath.Join(folder, ".catalog.db")
	schema, err := os.ReadFile("schema.sql")
	require.NoError(t, err)
	db, err := sql.Open("sqlite", catalog)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), string(schema)+`; INSERT INTO images (id, call_id, owner, state, created_ms, updated_ms, day, model, prompt, size, quality, cost_micro_usd, charged)
		VALUES ('01m7wnsdj83vthhjy68qfe1hke', '', 'local', 'saved', 0, 0, '1970-01-01', 'm', 'old', '1x1', 'hd', 0, 0)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	setVersion(t, catalog, 1)
	d := newDownloads(t, folder)
	i, err := d.library.Image(t.Context(), "local", "01m7wnsdj83vthhjy68qfe1hke")
	require.NoError(t, err)
	assert.Equal(t, "old", i.Prompt)
	d.link(t, i)
}

// A catalog of a newer version of the program is refused.
func TestMigrate_NewerVersion(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	catalog := filepath.Join(folder, ".catalog.db")
	require.NoError(t, open(t, folder).Record(t.Context(), reserve(t, open(t, folder), "x")))
	setVersion(t, catalog, 99)
	_, err := open(t, folder).Image(t.Context(), "local", strings.Repeat("0", 26))
	require.ErrorIs(t, err, resources.ErrStorage)
	require.ErrorContains(t, err, "newer version")
}

// setVersion sets the schema version of a catalog.
func setVersion(t *testing.T, catalog string, version int) {
	t.Helper()
	db, err := sql.Open("sqlite", catalog)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", version))
	require.NoError(t, err)
}

// downgradeToV3 turns a catalog into one of schema version 3, which had no search
// index.
func downgradeToV3(t *testing.T, db *sql.DB) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `DROP TRIGGER images_insert_prompt; DROP TRIGGER images_update_prompt; DROP TABLE prompts; DROP INDEX images_open;
		ALTER TABLE images DROP COLUMN upstream_answer; ALTER TABLE images DROP COLUMN failed_ms;
		CREATE INDEX images_open ON images (lease_until_ms) WHERE state IN ('queued', 'submitted', 'answered', 'unknown'); PRAGMA user_version=3`)
	require.NoError(t, err)
}

// Opening a catalog of version 3 adds the search index.
func TestMigrate_SearchIndex(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	save(t, l, "a fox in the snow", []byte("x"))
	require.NoError(t, l.Close())
	db := openSQLite(t, filepath.Join(folder, ".catalog.db"))
	downgradeToV3(t, db)
	page, _, err := open(t, folder).List(t.Context(), "local", "snow FOX", "", 10)
	require.NoError(t, err)
	require.Len(t, page, 1)
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM prompts WHERE prompts MATCH '"sno"'`).Scan(&n))
	assert.Equal(t, 1, n)
}

// An upgrade from version 3 changes neither images nor spending, nor which images can
// be claimed or joined.
func TestMigrate_OpenImages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	reservation := func(key string) resources.Reservation {
		return resources.Reservation{
			Images: []resources.Image{{CallID: key, Owner: "local", State: resources.Submitted, Model: "m", Prompt: "a fox " + key, CostMicroUSD: 10_000}}, Count: 1,
			JoinKey: key, RejoinWindow: time.Hour, Lease: resources.Lease{Process: "old", Until: time.Now().Add(-time.Minute)},
		}
	}
	failure := &resources.Failure{Kind: "download", Message: "m"}
	steps := map[string]func(*resources.Image){
		"submitted": func(*resources.Image) {},
		"task":      func(i *resources.Image) { i.State, i.TaskID, i.Failure = resources.Unknown, "t", failure },
		"unknown":   func(i *resources.Image) { i.State, i.Failure = resources.Unknown, failure },
		"answered":  func(i *resources.Image) { i.State, i.UpstreamURL = resources.Answered, "https://images.example/x.png" },
		"undecided": func(i *resources.Image) {
			i.State, i.UpstreamURL, i.Failure = resources.Answered, "https://images.example/y.png", failure
		},
		"lost":    func(i *resources.Image) { i.State, i.Failure = resources.Answered, failure },
		"refused": func(i *resources.Image) { i.State, i.Failure, i.Charged = resources.Failed, failure, false },
	}
	before := map[string]resources.Image{}
	for key, step := range steps {
		outcome, err := l.Reserve(t.Context(), reservation(key))
		require.NoError(t, err)
		i := outcome.New[0]
		step(&i)
		require.NoError(t, l.Record(t.Context(), i))
		before[key] = i
	}
	spent, err := l.SpentToday(t.Context(), "local", false)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	downgradeToV3(t, openSQLite(t, filepath.Join(folder, ".catalog.db")))

	l = open(t, folder)
	for key, want := range before {
		got, err := l.Image(t.Context(), "local", want.ID)
		require.NoError(t, err)
		assert.Equal(t, want, got, key)
	}
	now, err := l.SpentToday(t.Context(), "local", false)
	require.NoError(t, err)
	assert.InDelta(t, spent, now, 1e-9)
	assert.InDelta(t, 0.06, now, 1e-9, "all but the refused one")
	for key, want := range map[string]int{"submitted": 1, "task": 1, "unknown": 1, "answered": 1, "undecided": 1, "lost": 0, "refused": 0} {
		r := reservation(key)
		r.Lease = resources.Lease{Process: "new", Until: time.Now().Add(time.Minute)}
		outcome, err := l.Reserve(t.Context(), r)
		require.NoError(t, err)
		assert.Len(t, outcome.Joined, want, key)
		for _, i := range outcome.New { // so that they cannot be claimed below
			i.State, i.Charged = resources.Failed, false
			require.NoError(t, l.Record(t.Context(), i))
		}
	}
	claimed, err := l.Claim(t.Context(), resources.Lease{Process: "new", Until: time.Now().Add(time.Minute)}, 100, false)
	require.NoError(t, err)
	var ids, want []string
	for _, i := range claimed {
		ids = append(ids, i.ID)
	}
	for _, key := range []string{"submitted", "task", "answered", "undecided"} {
		want = append(want, before[key].ID)
	}
	assert.ElementsMatch(t, want, ids)
}
