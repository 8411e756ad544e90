package sqlite_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlite"
)

// recorder is an SQLite driver that records each statement.
type recorder struct {
	driver.Driver
	name       string // with which the driver is registered
	mu         sync.Mutex
	statements map[string]bool
}

func (r *recorder) Open(name string) (driver.Conn, error) {
	c, err := r.Driver.Open(name)
	return recorded{c, r}, err
}

type recorded struct {
	driver.Conn
	r *recorder
}

func (c recorded) note(query string) {
	c.r.mu.Lock()
	c.r.statements[query] = true
	c.r.mu.Unlock()
}

func (c recorded) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.note(query)
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c recorded) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.note(query)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c recorded) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.note(query)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c recorded) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

// newRecorder registers a recorder of this test alone.
func newRecorder(t *testing.T) *recorder {
	t.Helper()
	db, err := sql.Open("sqlite", "")
	require.NoError(t, err)
	defer db.Close()
	r := &recorder{Driver: db.Driver(), name: "recorder-" + rand.Text(), statements: map[string]bool{}}
	sql.Register(r.name, r)
	return r
}

// No statement of a running server scans the table of images: each one uses an index
// and is limited to the rows of an owner, of a day, or of open images.
func TestStatements_NoScan(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	r := newRecorder(t)
	serve(t, open(t, folder, func(o *sqlite.Options) { o.Driver = r.name }))
	db := openSQLite(t, folder)
	checked := 0
	for _, statement := range slices.Sorted(maps.Keys(r.statements)) {
		if !strings.Contains(statement, "images") || strings.Contains(statement, "CREATE ") {
			continue
		}
		checked++
		for _, step := range explain(t, db, statement) {
			open := strings.Contains(step, "images_open") // contains only open rows
			assert.False(t, strings.HasPrefix(step, "SCAN images") && !open, "%s\n%s", statement, step)
		}
	}
	assert.Greater(t, checked, 15, "the statements were recorded")
	plan := explain(t, db, `SELECT * FROM images WHERE prompt='x'`)
	assert.True(t, strings.HasPrefix(plan[0], "SCAN images"), "control: %v", plan)
}

// serve runs every operation of a running server on a catalog.
func serve(t *testing.T, c *sqlite.Catalog) {
	t.Helper()
	ctx := t.Context()
	lease, other := leaseOf("one", time.Minute), leaseOf("two", time.Minute)
	slots := resources.Slots{Key: "key", Limit: 1}
	call := reservation(resources.Image{CallID: "call", Model: "m", Prompt: "a fox", CostMicroUSD: 1}, lease)
	call.Budget, call.JoinKey, call.RejoinWindow, call.Slots, call.Client = 1000, "k", time.Hour, slots, "client"
	reserved, err := c.Reserve(ctx, call)
	require.NoError(t, err)
	i := reserved.New[0]
	joined, err := c.Reserve(ctx, call)
	require.NoError(t, err)
	require.Len(t, joined.Joined, 1)
	waiting := reservation(resources.Image{Model: "m"}, lease)
	waiting.Slots, waiting.Client = slots, "another"
	queued, err := c.Reserve(ctx, waiting)
	require.NoError(t, err)
	i.State = resources.Polling
	require.NoError(t, c.Record(ctx, i, resources.Guard{From: resources.Submitted, Lease: lease}))
	i.State = resources.Answered
	require.NoError(t, c.Record(ctx, i, resources.Guard{}))
	granted, err := c.Grant(ctx, "m", slots, lease)
	require.NoError(t, err)
	require.Equal(t, []string{queued.New[0].ID}, granted.Granted)
	require.NoError(t, c.Renew(ctx, lease, []string{i.ID}, []string{i.ID}))
	require.NoError(t, c.Renew(ctx, lease, nil, nil), "a process without images")
	_, _, err = c.NextClaim(ctx, other)
	require.NoError(t, err)
	assert.Empty(t, claim(t, c, "two", false))
	assert.Empty(t, claim(t, c, "two", true))
	require.NoError(t, c.Park(ctx, i.ID, "one", 0))
	require.Len(t, claim(t, c, "two", false), 1)
	require.NoError(t, c.Park(ctx, i.ID, "two", time.Minute))
	claimed, err := c.Claim(ctx, resources.Claim{Lease: lease, ID: i.ID})
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	saved := save(t, c, "an owl")
	require.NoError(t, c.BeginDelivery(ctx, lease, []string{saved.ID}))
	require.NoError(t, c.EndDelivery(ctx, "one", []string{saved.ID}, true))
	_, err = c.Row(ctx, saved.ID)
	require.NoError(t, err)
	for _, query := range []string{"", "owl", "o", "absent"} {
		_, err = c.Page(ctx, "local", resources.Saved, query, "", 10)
		require.NoError(t, err)
	}
	_, err = c.IDs(ctx, "local", "0", 10)
	require.NoError(t, err)
	_, _, err = c.Neighbors(ctx, "local", saved.ID)
	require.NoError(t, err)
	_, err = c.Spending(ctx, "local", time.Now(), time.Now())
	require.NoError(t, err)
	_, err = c.SpentToday(ctx, "local", false)
	require.NoError(t, err)
	_, end, err := c.Changes(ctx, "one", "")
	require.NoError(t, err)
	_, _, err = c.Changes(ctx, "one", end)
	require.NoError(t, err)
	require.NoError(t, c.Ping(ctx))
	_, err = c.Remove(ctx, "local", saved.ID)
	require.NoError(t, err)
}

// A search for a word that the newest images do not contain starts from the index of
// words. Starting from the owner's images, it would read all of them.
func TestStatements_SearchForRareWord(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	r := newRecorder(t)
	c := open(t, folder, func(o *sqlite.Options) { o.Driver = r.name })
	save(t, c, "a heron")
	fill(t, folder, 1000)
	found, err := c.Page(t.Context(), "local", resources.Saved, "heron", "", 20)
	require.NoError(t, err)
	assert.Len(t, found, 1)
	statement := slices.IndexFunc(slices.Sorted(maps.Keys(r.statements)), func(s string) bool { return strings.Contains(s, "MATCH") })
	require.GreaterOrEqual(t, statement, 0, "the index is used")
	plan := explain(t, openSQLite(t, folder), slices.Sorted(maps.Keys(r.statements))[statement])
	assert.NotContains(t, strings.Join(plan, "\n"), "images_by_owner")
}

// explain returns the steps of the query plan of a statement.
func explain(t *testing.T, db *sql.DB, statement string) (steps []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, make([]any, strings.Count(statement, "?"))...)
	require.NoError(t, err, statement)
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	require.NoError(t, rows.Err())
	return steps
}

// Lookups do not wait for searches, however many there are.
func BenchmarkLookupDuringSearches(b *testing.B) {
	folder := b.TempDir()
	c := open(b, folder)
	i := save(b, c, "x")
	fill(b, folder, 100_000)
	for _, searches := range []int{0, 8} {
		b.Run(fmt.Sprintf("%d searches", searches), func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			var all sync.WaitGroup
			for range searches {
				all.Go(func() {
					for ctx.Err() == nil {
						_, _ = c.Page(ctx, "local", resources.Saved, "zz", "", 10)
					}
				})
			}
			for b.Loop() {
				_, err := c.Row(b.Context(), i.ID)
				require.NoError(b, err)
			}
			cancel()
			all.Wait()
		})
	}
}
