package postgres_test

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/postgres"
	"zai-image-mcp/resources/sqlite"
)

// blockOwner starts a reservation of ann, which holds her lock until the end of release.
func blockOwner(t *testing.T, c *postgres.Catalog, database string) (release func()) {
	t.Helper()
	require.NoError(t, c.Ready(t.Context()))
	i := image("ann", "x")
	blocker, watcher := connect(t, database), connect(t, database)
	_, err := blocker.Exec(t.Context(), `BEGIN`)
	require.NoError(t, err)
	_, err = blocker.Exec(t.Context(), `INSERT INTO images (id, call_id, owner, state, created_ms, updated_ms, day, model, prompt, size, quality, cost_micro_usd, charged)
		VALUES ($1, '', '', '', 0, 0, '', '', '', '', '', 0, FALSE)`, i.ID)
	require.NoError(t, err)
	ended := make(chan error)
	go func() {
		_, err := reserve(t.Context(), c, i, 0)
		ended <- err
	}()
	require.Eventually(t, func() bool {
		var blocked int
		err := watcher.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname=current_database() AND wait_event='transactionid'`).Scan(&blocked)
		return err == nil && blocked == 1
	}, 9*time.Second, 5*time.Millisecond, "the reservation waits for the row with its id")
	return func() {
		_, err := blocker.Exec(t.Context(), `ROLLBACK`)
		require.NoError(t, err)
		require.NoError(t, <-ended, "it did not wait until the limit of the server")
	}
}

// Transactions that wait for an owner's lock leave the connections to those of others.
func TestCatalog_WaitingTransactions(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	c := open(t, database)
	release := blockOwner(t, c, database)
	var all sync.WaitGroup
	for range 30 { // more than there are connections
		all.Go(func() {
			_, err := reserve(t.Context(), c, image("ann", "x"), 0)
			assert.NoError(t, err)
		})
	}
	for range 30 {
		save(t, c, "bob", "x")
	}
	release()
	all.Wait()
}

// A transaction that waits for a lock ends with its context.
func TestCatalog_WaitingTransactionCanceled(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	c := open(t, database)
	release := blockOwner(t, c, database)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for range 30 { // more than there are connections
		go func() {
			_, err := reserve(ctx, c, image("ann", "x"), 0)
			ended <- err
		}()
	}
	cancel()
	for range 30 {
		require.ErrorIs(t, <-ended, context.Canceled)
	}
	release()
	_, err := reserve(t.Context(), c, image("ann", "x"), 0)
	require.NoError(t, err, "the locks are free again")
}

// Reservations of both databases, in one process. They are durable only if the server
// flushes its files.
func TestLoad_Reservations(t *testing.T) {
	requireLoad(t)
	lite := sqlite.New(sqlite.Options{Path: filepath.Join(t.TempDir(), "catalog.db"), Now: time.Now, Log: discard()})
	defer lite.Close()
	database := testrig.Postgres(t)
	var fsync string
	require.NoError(t, connect(t, database).QueryRow(t.Context(), `SHOW fsync`).Scan(&fsync))
	t.Logf("fsync of PostgreSQL: %s", fsync)
	for _, engine := range []struct {
		name string
		c    resources.Catalog
	}{{"SQLite", lite}, {"PostgreSQL", open(t, database)}} {
		require.NoError(t, engine.c.Ready(t.Context()))
		for _, tt := range []struct{ callers, owners int }{{1, 1}, {64, 1}, {64, 100}} {
			var next atomic.Int64
			times := measure(t, 40*max(tt.callers, 10), tt.callers, func(ctx context.Context) error {
				i := image("owner"+strconv.FormatInt(next.Add(1)%int64(tt.owners), 10), "a fox in the evening light")
				_, err := engine.c.Reserve(ctx, resources.Reservation{Images: []resources.Image{i}, Count: 1, Budget: 1e12, Lease: lease("one")})
				return err
			})
			t.Logf("%-10s  %2d callers, %3d owners: %6.0f/s, median %9v  p99 %9v", engine.name, tt.callers, tt.owners, times.rate, times.median, times.p99)
		}
	}
}

type times struct {
	median, p99 time.Duration
	rate        float64 // per second
}

// measure runs an operation several times, a number of them at once.
func measure(t *testing.T, n, callers int, run func(context.Context) error) times {
	t.Helper()
	var (
		mu   sync.Mutex
		list []time.Duration
		all  sync.WaitGroup
	)
	begun := time.Now()
	for range callers {
		all.Go(func() {
			for range n / callers {
				start := time.Now()
				err := run(t.Context())
				taken := time.Since(start)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				list = append(list, taken)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	rate := float64(len(list)) / time.Since(begun).Seconds()
	slices.Sort(list)
	return times{list[len(list)/2].Round(time.Microsecond), list[len(list)*99/100].Round(time.Microsecond), rate}
}
