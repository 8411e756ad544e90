package resources_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// recorder is an SQLite driver that records each statement.
type recorder struct {
	driver.Driver
	name       string // with which the driver is registered
	mu         sync.Mutex
	statements map[string]bool
	before     func(statement string) // called before each statement; may be nil
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
	before := c.r.before
	c.r.mu.Unlock()
	if before != nil {
		before(query)
	}
}

// intercept makes the recorder call a function before each statement.
func (r *recorder) intercept(before func(statement string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = before
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
	l := open(t, folder)
	r := newRecorder(t)
	l.SetDriver(r.name)
	serve(t, l)
	require.NoError(t, l.Ready(t.Context()))
	db := openSQLite(t, filepath.Join(folder, ".catalog.db"))
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

// serve runs every operation of a running server on a library.
func serve(t *testing.T, l *resources.Library) {
	t.Helper()
	ctx := t.Context()
	lease := resources.Lease{Process: "one", Until: time.Now().Add(time.Minute)}
	other := resources.Lease{Process: "two", Until: time.Now().Add(time.Minute)}
	reserved, err := l.Reserve(ctx, resources.Reservation{
		Images: []resources.Image{{CallID: "call", Owner: "local", State: resources.Queued, Prompt: "a fox", CostMicroUSD: 1}}, Count: 1, Budget: 1000, JoinKey: "k", RejoinWindow: time.Hour, Lease: lease,
	})
	require.NoError(t, err)
	i := reserved.New[0]
	joined, err := l.Reserve(ctx, resources.Reservation{Images: []resources.Image{i}, Count: 1, JoinKey: "k", RejoinWindow: time.Hour, Lease: lease})
	require.NoError(t, err)
	require.Len(t, joined.Joined, 1)
	i.State = resources.Submitted
	require.NoError(t, l.RecordIf(ctx, i, resources.Queued, lease))
	require.NoError(t, l.Renew(ctx, lease, []string{i.ID}))
	require.NoError(t, l.Renew(ctx, lease, nil), "a process without images")
	_, err = l.NextClaim(ctx, other)
	require.NoError(t, err)
	_, err = l.Claim(ctx, other, 10, false)
	require.NoError(t, err)
	_, err = l.Claim(ctx, other, 10, true)
	require.NoError(t, err)
	require.NoError(t, l.Park(ctx, i.ID, "one", time.Time{}))
	claimed, err := l.Claim(ctx, other, 10, false)
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	require.NoError(t, l.Park(ctx, i.ID, "two", time.Time{}))
	_, ok, err := l.ClaimOne(ctx, i.ID, lease)
	require.NoError(t, err)
	require.True(t, ok)
	saved := save(t, l, "an owl", []byte("x"))
	require.NoError(t, l.ConfirmDelivery(ctx, []string{saved.ID}))
	_, err = l.Image(ctx, "local", saved.ID)
	require.NoError(t, err)
	for _, query := range []string{"", "owl", "o", "absent"} {
		_, _, err = l.List(ctx, "local", query, "", 10)
		require.NoError(t, err)
	}
	_, err = (&resources.MCP{Library: l}).Complete(ctx, "local", "zai-image://images/{id}", mcp.CompleteArgument{Name: "id", Value: "0"})
	require.NoError(t, err)
	_, err = l.Unsaved(ctx, "local", 10)
	require.NoError(t, err)
	_, err = l.SpentToday(ctx, "local", false)
	require.NoError(t, err)
	require.NoError(t, l.Reachable(ctx))
	require.NoError(t, l.Remove(ctx, "local", saved.ID))
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
	l := open(b, folder)
	i := save(b, l, "x", []byte("x"))
	fill(b, folder, 100_000)
	for _, searches := range []int{0, 8} {
		b.Run(fmt.Sprintf("%d searches", searches), func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			var all sync.WaitGroup
			for range searches {
				all.Go(func() {
					for ctx.Err() == nil {
						_, _, _ = l.List(ctx, "local", "zz", "", 10)
					}
				})
			}
			for b.Loop() {
				_, err := l.Image(b.Context(), "local", i.ID)
				require.NoError(b, err)
			}
			cancel()
			all.Wait()
		})
	}
}
