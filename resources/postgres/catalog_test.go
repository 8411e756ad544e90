package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// A text in PostgreSQL contains neither NUL nor invalid UTF-8.
func TestCatalog_UnstorableText(t *testing.T) {
	t.Parallel()
	c := open(t, testrig.Postgres(t))
	i := save(t, c, "ann", "a\x00b \xff fox")
	row, err := c.Row(t.Context(), i.ID)
	require.NoError(t, err)
	assert.Equal(t, "a\uFFFDb \uFFFD fox", row.Prompt)
	page, err := c.Page(t.Context(), "ann", resources.Saved, "\xff fox", "", 10)
	require.NoError(t, err)
	assert.Len(t, page, 1)
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
