package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlcatalog"
)

// create makes a catalog of an older version in a folder.
func create(t *testing.T, folder string, version int) *sql.DB {
	t.Helper()
	db := openSQLite(t, folder)
	for v := range version {
		statements, err := os.ReadFile(fmt.Sprintf("migrations/%04d.sql", v+1))
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), string(statements))
		require.NoError(t, err)
	}
	setVersion(t, db, version)
	return db
}

// setVersion sets the schema version of a catalog.
func setVersion(t *testing.T, db *sql.DB, version int) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", version))
	require.NoError(t, err)
}

// oldRow is a row of a catalog before version 5, whose states were completed by other
// columns.
type oldRow struct {
	id, state           string
	task, link, failure string
	charged             bool
}

func (r oldRow) insert(t *testing.T, db *sql.DB, version int) {
	t.Helper()
	now := time.Now()
	columns := `id, call_id, owner, state, created_ms, updated_ms, day, model, prompt, size, quality, cost_micro_usd, charged, upstream_url, failure, join_key, lease_owner, lease_until_ms`
	values := []any{
		r.id, r.id, "local", r.state, now.UnixMilli(), now.UnixMilli(), now.UTC().Format(time.DateOnly), "m", "a fox in the snow", "1x1", "hd", 10_000, r.charged,
		r.link, r.failure, r.id, "old", now.Add(-time.Minute).UnixMilli(),
	}
	if version >= 3 {
		columns += `, task_id`
		values = append(values, r.task)
	}
	if version >= 4 && r.failure != "" {
		columns += `, failed_ms`
		values = append(values, now.UnixMilli())
	}
	placeholders := "?"
	for range values[1:] {
		placeholders += ", ?"
	}
	_, err := db.ExecContext(t.Context(), `INSERT INTO images (`+columns+`) VALUES (`+placeholders+`)`, values...)
	require.NoError(t, err)
}

// An upgrade gives every old row the state that says what follows. It changes neither
// other columns nor spending, nor which images can be claimed or joined.
func TestMigrate_States(t *testing.T) {
	t.Parallel()
	const link, failure = "https://images.example/x.png", `{"kind":"download","message":"m"}`
	rows := []struct {
		oldRow
		want    resources.State
		joined  bool
		claimed bool
	}{
		{oldRow{"queued", "queued", "", "", "", true}, resources.Queued, false, true},
		{oldRow{"submitted", "submitted", "", "", "", true}, resources.Submitted, true, true},
		{oldRow{"task", "submitted", "t", "", "", true}, resources.Polling, true, true},
		{oldRow{"unknown-task", "unknown", "t", "", failure, true}, resources.PollFailed, true, true},
		{oldRow{"unknown", "unknown", "", "", failure, true}, resources.Unknown, true, false},
		{oldRow{"answered", "answered", "t", link, "", true}, resources.Answered, true, true},
		{oldRow{"undecided", "answered", "", link, failure, true}, resources.FetchFailed, true, true},
		{oldRow{"lost", "answered", "t", "", failure, true}, resources.Lost, false, false},
		{oldRow{"reset", "failed", "", "", failure, true}, resources.Lost, false, false},
		{oldRow{"refused", "failed", "t", "", failure, false}, resources.Failed, false, false},
		{oldRow{"saved", "saved", "t", link, "", true}, resources.Saved, true, false},
		{oldRow{"removed", "removed", "", "", "", true}, resources.Removed, false, false},
	}
	const firstWithStates = 5
	for version := 1; version < firstWithStates; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			db := create(t, folder, version)
			for _, r := range rows {
				r.insert(t, db, version)
			}
			c := open(t, folder)
			spent, err := c.SpentToday(t.Context(), "local", false)
			require.NoError(t, err)
			assert.Equal(t, int64(11*10_000), spent, "all but the refused one")
			joinable, recoverable := map[string]bool{}, map[string]bool{}
			for _, r := range rows {
				got, err := c.Row(t.Context(), r.id)
				require.NoError(t, err)
				want := r.want
				if version < 3 { // there were no tasks
					want = map[resources.State]resources.State{resources.Polling: resources.Submitted, resources.PollFailed: resources.Unknown}[want]
					if want == "" {
						want = r.want
					}
				}
				assert.Equal(t, want, got.State, r.id)
				assert.Equal(t, []any{r.link, r.charged, r.failure != "", "a fox in the snow", int64(10_000)},
					[]any{got.UpstreamURL, got.Charged, got.Failure != nil, got.Prompt, got.CostMicroUSD}, r.id)
				assert.Equal(t, r.failure != "", !got.FailedAt.IsZero(), r.id)
				joinable[r.id], recoverable[r.id] = r.joined && version >= 3, want.Recoverable() // rows before version 3 count as delivered
				if version >= 3 {
					assert.Equal(t, r.claimed, recoverable[r.id], r.id)
				}
			}
			for _, r := range rows {
				call := reservation(resources.Image{}, resources.Lease{Process: "new", For: time.Minute})
				call.JoinKey, call.RejoinWindow = r.id, time.Hour
				outcome, err := c.Reserve(t.Context(), call)
				require.NoError(t, err)
				assert.Equal(t, joinable[r.id], len(outcome.Joined) == 1, r.id)
			}
			claimed := map[string]bool{}
			for _, i := range claim(t, c, "another", false) {
				claimed[i.ID] = true
			}
			for _, r := range rows {
				assert.Equal(t, recoverable[r.id], claimed[r.id], r.id)
			}
			page, err := c.Page(t.Context(), "local", resources.Saved, "snow FOX", "", 10)
			require.NoError(t, err)
			assert.Len(t, page, 1)
			var found int
			require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM prompts WHERE prompts MATCH '"sno"'`).Scan(&found))
			assert.Equal(t, len(rows), found, "the search index has all prompts")
			key, err := c.Setting(t.Context(), "key", []byte("value"))
			require.NoError(t, err)
			assert.Equal(t, "value", string(key))
		})
	}
}

// Several processes can upgrade a catalog at the same time.
func TestMigrate_Concurrent(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	create(t, folder, 1)
	results := make(chan error)
	for range 4 {
		c := open(t, folder)
		go func() { results <- c.Ready(t.Context()) }()
	}
	for range 4 {
		assert.NoError(t, <-results)
	}
}

// A catalog of a newer version of the program is refused.
func TestMigrate_NewerVersion(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	reserve(t, open(t, folder), "x")
	setVersion(t, openSQLite(t, folder), 99)
	_, err := open(t, folder).Row(t.Context(), newID())
	require.ErrorIs(t, err, resources.ErrStorage)
	require.ErrorContains(t, err, "it was made by a newer version of this program (its schema is 99, this version supports 7)")
}

// The condition of the index of recoverable rows lists the recoverable states.
func TestMigrate_OpenIndex(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, open(t, folder).Ready(t.Context()))
	var index string
	require.NoError(t, openSQLite(t, folder).QueryRowContext(t.Context(), `SELECT sql FROM sqlite_schema WHERE name='images_open'`).Scan(&index))
	assert.Contains(t, index, sqlcatalog.Recoverable())
}

// Files of images that were saved before version 6 were not examined for marks.
func TestMigrate_Marks(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db := create(t, folder, 5)
	oldRow{id: "saved", state: "saved", charged: true}.insert(t, db, 5)
	c := open(t, folder)
	got, err := c.Row(t.Context(), "saved")
	require.NoError(t, err)
	assert.Equal(t, resources.Saved, got.State)
	assert.Nil(t, got.Marks)
	record := resources.Exported{Path: "/p/hero.png", ImageID: "saved", Spec: "png", SHA256: "00", Bytes: 1, CreatedAt: time.UnixMilli(1).UTC()}
	require.NoError(t, c.RecordExport(t.Context(), record))
	list, err := c.ExportsOf(t.Context(), "saved")
	require.NoError(t, err)
	assert.Equal(t, []resources.Exported{record}, list)
}
