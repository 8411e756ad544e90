package resources_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Spending is grouped by day, owner, model and sandbox, and leaves out images that
// were not charged.
func TestSpending(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 23, 59, 0, 0, time.UTC)
	l := newLibrary(libraryOptions{Folder: t.TempDir(), Now: func() time.Time { return now }, Random: strings.NewReader(strings.Repeat("0123456789", 100)), Log: nil})
	defer l.Close()
	for n, i := range []resources.Image{
		{Owner: "local", Model: "glm-image", CostMicroUSD: 15_000}, {Owner: "local", Model: "glm-image", CostMicroUSD: 15_000},
		{Owner: "alice", Model: "cogview-4-250304", CostMicroUSD: 10_000}, {Owner: "local", Model: "glm-image", CostMicroUSD: 15_000, Sandbox: true},
		{Owner: "local", Model: "glm-image", CostMicroUSD: 15_000}, {Owner: "local", Model: "glm-image", CostMicroUSD: 15_000},
	} {
		if n == 4 {
			now = now.Add(time.Hour)
		}
		i.State = resources.Submitted
		kept, err := reserveOne(l, i, 0)
		require.NoError(t, err)
		if n == 5 { // refused: not charged
			kept.State, kept.Charged = resources.Failed, false
			require.NoError(t, l.Record(t.Context(), kept))
		}
	}
	all, err := l.Spending(t.Context(), "", now.AddDate(0, 0, -1))
	require.NoError(t, err)
	assert.Equal(t, []resources.Spending{
		{Day: "2026-11-21", Owner: "local", Model: "glm-image", Images: 1, CostUSD: 0.015},
		{Day: "2026-11-20", Owner: "alice", Model: "cogview-4-250304", Images: 1, CostUSD: 0.01},
		{Day: "2026-11-20", Owner: "local", Model: "glm-image", Images: 2, CostUSD: 0.03},
		{Day: "2026-11-20", Owner: "local", Model: "glm-image", Sandbox: true, Images: 1, CostUSD: 0.015},
	}, all)
	today, err := l.Spending(t.Context(), "local", now)
	require.NoError(t, err)
	assert.Len(t, today, 1)
}

// A folder that cannot be created is a storage error.
func TestReserve_UnusableFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	l := open(t, filepath.Join(file, "folder"))
	_, err := reserveOne(l, resources.Image{Owner: "local"}, 0)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, _, err = l.List(t.Context(), "local", "", "", 10)
	require.ErrorIs(t, err, resources.ErrStorage)
}

// A budget applies to one owner, a cost that is no longer charged can be spent again,
// and the sandbox has a separate budget.
func TestReserve_Budget(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	draft := resources.Image{Owner: "local", State: resources.Submitted, CostMicroUSD: 10_000}
	const budget = 25_000
	for want := range 3 {
		i, err := reserveOne(l, draft, budget)
		if want == 2 {
			require.ErrorIs(t, err, resources.ErrBudget)
			continue
		}
		require.NoError(t, err)
		if want == 0 { // the cost of a failed image can be spent again
			i.State, i.Charged = resources.Failed, false
			require.NoError(t, l.Record(t.Context(), i))
			_, err = reserveOne(l, draft, budget)
			require.NoError(t, err)
		}
	}
	spent, err := l.SpentToday(t.Context(), "local", false)
	require.NoError(t, err)
	assert.InDelta(t, 0.02, spent, 1e-9)
	other := draft
	other.Owner = "somebody"
	_, err = reserveOne(l, other, budget)
	require.NoError(t, err, "each owner has a budget")
	simulated := draft
	simulated.Sandbox = true
	_, err = reserveOne(l, simulated, budget)
	require.NoError(t, err, "the sandbox has its own budget")
}

// A budget is exact while several processes reserve images.
func TestReserve_BudgetConcurrent(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var taken, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 { // processes
		l := open(t, folder)
		for range 10 {
			all.Go(func() {
				_, err := reserveOne(l, resources.Image{Owner: "local", CostMicroUSD: 10_000}, 150_000)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					taken++
				} else {
					assert.ErrorIs(t, err, resources.ErrBudget)
					refused++
				}
			})
		}
	}
	all.Wait()
	assert.Equal(t, 15, taken)
	assert.Equal(t, 25, refused)
}
