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
	"zai-image-mcp/resources/sqlite"
)

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
				mu.Lock()
				assert.NoError(t, err)
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
