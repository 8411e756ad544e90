package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

func TestCatalog_Life(t *testing.T) {
	t.Parallel()
	c := open(t, testrig.Postgres(t))
	ctx := t.Context()
	outcome, err := reserve(ctx, c, image("ann", "A red fox"), 15_000)
	require.NoError(t, err)
	require.Len(t, outcome.New, 1)
	i := outcome.New[0]
	assert.Equal(t, resources.Submitted, i.State)
	_, err = reserve(ctx, c, image("ann", "x"), 15_000)
	require.ErrorIs(t, err, resources.ErrBudget)
	i.State, i.UpstreamURL = resources.Answered, "https://example.com/a\x00b\xff"
	require.NoError(t, c.Record(ctx, i, resources.Guard{From: resources.Submitted, Lease: lease("one")}))
	row, err := c.Row(ctx, i.ID)
	require.NoError(t, err)
	assert.True(t, row.LeaseAlive)
	assert.Equal(t, "https://example.com/a\uFFFDb\uFFFD", row.UpstreamURL)
	claimed, err := c.Claim(ctx, resources.Claim{Lease: lease("two"), Limit: 10})
	require.NoError(t, err)
	assert.Empty(t, claimed)
	require.NoError(t, c.Park(ctx, i.ID, "one", 0))
	claimed, err = c.Claim(ctx, resources.Claim{Lease: lease("two"), Limit: 10})
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	i.State, i.Path = resources.Saved, "a.png"
	require.NoError(t, c.Record(ctx, i, resources.Guard{}))
	for query, found := range map[string]int{"": 1, "fox": 1, "FOX red": 1, "ox": 1, "cat": 0} {
		page, err := c.Page(ctx, "ann", resources.Saved, query, "", 10)
		require.NoError(t, err)
		assert.Len(t, page, found, query)
	}
	spent, err := c.SpentToday(ctx, "ann", false)
	require.NoError(t, err)
	assert.Equal(t, int64(10_000), spent)
	days, err := c.Spending(ctx, "", time.Now().Add(-time.Hour))
	require.NoError(t, err)
	assert.Len(t, days, 1)
	path, err := c.Remove(ctx, "ann", i.ID)
	require.NoError(t, err)
	assert.Equal(t, "a.png", path)
	defect, err := c.Verify(ctx)
	require.NoError(t, err)
	assert.Empty(t, defect)
	require.NoError(t, c.Writable(ctx))
	require.NoError(t, c.Ping(ctx))
}

// Times come from the database: a replica whose clock is wrong reserves on the same day
// and cannot take an image whose lease has not ended there.
func TestCatalog_DatabaseClock(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	a, b := open(t, database), open(t, database)
	ctx := t.Context()
	var now time.Time
	require.NoError(t, connect(t, database).QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now))
	for n, skew := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		i := image("ann", "x")
		i.CreatedAt = now.Add(skew)
		outcome, err := reserve(ctx, []resources.Catalog{a, b}[n], i, 20_000)
		require.NoError(t, err)
		assert.WithinDuration(t, now, outcome.New[0].CreatedAt, time.Hour)
	}
	_, err := reserve(ctx, a, image("ann", "x"), 20_000)
	require.ErrorIs(t, err, resources.ErrBudget, "both were reserved on the same day")
	claimed, err := b.Claim(ctx, resources.Claim{Lease: lease("two"), Limit: 10, Early: true})
	require.NoError(t, err)
	assert.Empty(t, claimed)
	// The clock of the database moves on; those of the replicas do not matter.
	testrig.PostgresExec(t, database, `UPDATE images SET lease_until_ms=lease_until_ms - 61000`)
	claimed, err = b.Claim(ctx, resources.Claim{Lease: lease("two"), Limit: 10})
	require.NoError(t, err)
	assert.Len(t, claimed, 2)
}
