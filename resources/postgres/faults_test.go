package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/postgres"
)

// A transaction whose COMMIT was lost is repeated only if the server did not get it.
func TestCatalog_LostCommit(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"the server did not get it": beforeCommit, "the answer was lost": afterCommit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, testrig.Postgres(t))
			c := open(t, p.URL)
			require.NoError(t, c.Ready(t.Context()))

			p.arm(f)
			outcome, err := reserve(t.Context(), c, image("ann", "x"), 25_000)
			require.NoError(t, err)
			require.Len(t, outcome.New, 1)
			require.Equal(t, 1, p.faults(), "control: the connection was cut")
			spent, err := c.SpentToday(t.Context(), "ann", false)
			require.NoError(t, err)
			assert.Equal(t, int64(10_000), spent, "reserved once")

			i := outcome.New[0]
			i.State, i.UpstreamURL = resources.Answered, "https://example.com"
			p.arm(f)
			require.NoError(t, c.Record(t.Context(), i, resources.Guard{From: resources.Submitted, Lease: lease("one")}))
			assert.Equal(t, 2, p.faults(), "control: the connection was cut")
			row, err := c.Row(t.Context(), i.ID)
			require.NoError(t, err)
			assert.Equal(t, resources.Answered, row.State)

			want := resources.Exported{Path: "/p/hero.png", ImageID: i.ID, Spec: "png", SHA256: "00", Bytes: 1, CreatedAt: time.UnixMilli(1).UTC()}
			p.arm(f)
			require.NoError(t, c.RecordExport(t.Context(), want))
			assert.Equal(t, 3, p.faults(), "control: the connection was cut")
			exports, err := c.ExportsOf(t.Context(), i.ID)
			require.NoError(t, err)
			assert.Equal(t, []resources.Exported{want}, exports)
		})
	}
}

// The outcome of a transaction is known after a crash too, in which the server may have
// lost it and given its number to another.
func TestCatalog_Outcome(t *testing.T) {
	t.Parallel()
	server := testrig.StartPostgres(t)
	c := open(t, server.URL)
	begin := func() (tx pgx.Tx, number string, locked time.Time) {
		t.Helper()
		tx, err := connect(t, server.URL).Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, tx.QueryRow(t.Context(), `SELECT pg_current_xact_id()::text, clock_timestamp()`).Scan(&number, &locked))
		return tx, number, locked
	}
	check := func(number string, locked time.Time, want bool, wantErr error) {
		t.Helper()
		got, err := c.Outcome(t.Context(), number, locked)
		require.ErrorIs(t, err, wantErr)
		assert.Equal(t, want, got)
	}
	// Until the second in which the server started has passed.
	started := func() {
		t.Helper()
		for hasPassed, c := false, connect(t, server.URL); !hasPassed; {
			require.NoError(t, c.QueryRow(t.Context(), `SELECT checkpoint_time < date_trunc('second', clock_timestamp()) FROM pg_control_checkpoint()`).Scan(&hasPassed))
		}
	}
	started()
	tx, committed, locked := begin()
	require.NoError(t, tx.Commit(t.Context()))
	check(committed, locked, true, nil)
	testrig.PostgresExec(t, server.URL, `CHECKPOINT`)
	check(committed, locked, true, nil)
	tx, committed, _ = begin()
	require.NoError(t, tx.Commit(t.Context()))
	check(committed, locked, true, nil) // a checkpoint that is not that of a start
	tx, rolledBack, locked := begin()
	require.NoError(t, tx.Rollback(t.Context()))
	check(rolledBack, locked, false, nil)

	tx, kept, keptLocked := begin()
	_, err := tx.Exec(t.Context(), `CREATE TABLE kept ()`)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	_, lost, lostLocked := begin()
	server.Crash()
	check(kept, keptLocked, true, nil)
	check(lost, lostLocked, false, nil)
	started()
	for number := ""; number != lost; {
		tx, number, locked = begin()
		require.NoError(t, tx.Commit(t.Context()))
		check(number, locked, true, nil)
	}
	check(lost, lostLocked, false, postgres.ErrForgotten)
	check(kept, keptLocked, true, nil)
}

const (
	owners      = 8
	perOwner    = 40     // reservations that an owner tries to get
	ownerBudget = 205000 // in 1e-6 US dollars, for 20 images
)

// reserveAll makes concurrent reservations for several owners through two catalogs. It
// returns the acknowledged images by owner.
func reserveAll(t *testing.T, catalogs [2]resources.Catalog, begun *atomic.Int64) map[string][]string {
	t.Helper()
	var (
		mu    sync.Mutex
		all   sync.WaitGroup
		saved = map[string][]string{}
	)
	for o := range owners {
		owner := fmt.Sprintf("owner%d", o)
		for n := range perOwner {
			all.Go(func() {
				for {
					begun.Add(1)
					outcome, err := reserve(t.Context(), catalogs[n%2], image(owner, "x"), ownerBudget)
					switch {
					case err == nil:
						mu.Lock()
						saved[owner] = append(saved[owner], outcome.New[0].ID)
						mu.Unlock()
						return
					case errors.Is(err, resources.ErrBudget):
						return
					case !assert.ErrorIs(t, err, resources.ErrStorage):
						return
					}
				}
			})
		}
	}
	all.Wait()
	return saved
}

// checkSpending checks that the owners spent what was acknowledged, and returns how many
// spent more than their budget.
func checkSpending(t *testing.T, c resources.Catalog, acknowledged map[string][]string) (overspent int) {
	t.Helper()
	for owner, ids := range acknowledged {
		spent, err := c.SpentToday(t.Context(), owner, false)
		require.NoError(t, err)
		if spent > ownerBudget {
			overspent++
		}
		for _, id := range ids {
			row, err := c.Row(t.Context(), id)
			require.NoError(t, err, "an acknowledged image is missing")
			assert.Equal(t, owner, row.Owner)
		}
		assert.LessOrEqual(t, int64(len(ids))*10_000, spent)
	}
	assert.Len(t, acknowledged, owners)
	return overspent
}

// No owner overspends and no reservation is lost while connections are cut and the
// server crashes.
func TestCatalog_ReserveDuringFaults(t *testing.T) {
	t.Parallel()
	server := testrig.StartPostgres(t)
	p := newProxy(t, server.URL)
	a, b := open(t, p.URL), open(t, p.URL)
	require.NoError(t, a.Ready(t.Context()))
	var begun atomic.Int64
	done := make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() {
		for round := 1; ; round++ {
			seen := begun.Load()
			for begun.Load() < seen+20 { // in the middle of reservations
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
				}
			}
			if p.cut(); round%4 == 0 && round <= 12 {
				server.Crash()
			}
		}
	})
	acknowledged := reserveAll(t, [2]resources.Catalog{a, b}, &begun)
	close(done)
	faults.Wait()
	assert.Zero(t, checkSpending(t, a, acknowledged), "owners that overspent")
	for owner, ids := range acknowledged {
		spent, err := a.SpentToday(t.Context(), owner, false)
		require.NoError(t, err)
		assert.Equal(t, int64(200_000), spent, "the budget was used up")
		assert.LessOrEqual(t, len(ids), 20)
	}
	t.Logf("%d reservations begun", begun.Load())
}

// Control: without the advisory lock, concurrent reservations overspend.
func TestCatalog_ReserveWithoutLocks(t *testing.T) {
	t.Parallel()
	url := testrig.Postgres(t)
	a, b := open(t, url), open(t, url)
	a.WithoutLocks()
	b.WithoutLocks()
	require.NoError(t, a.Ready(t.Context()))
	var begun atomic.Int64
	acknowledged := reserveAll(t, [2]resources.Catalog{a, b}, &begun)
	assert.Positive(t, checkSpending(t, a, acknowledged), "owners that overspent")
}

func TestCatalog_ReserveConcurrently(t *testing.T) {
	t.Parallel()
	url := testrig.Postgres(t)
	a, b := open(t, url), open(t, url)
	var begun atomic.Int64
	acknowledged := reserveAll(t, [2]resources.Catalog{a, b}, &begun)
	assert.Zero(t, checkSpending(t, a, acknowledged), "owners that overspent")
	for _, ids := range acknowledged {
		assert.Len(t, ids, 20)
	}
}
