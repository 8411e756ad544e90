package sqlite_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Claim takes no write lock if no image is due.
func TestClaim_NothingDue(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := open(t, folder)
	save(t, c, "x")
	db := openSQLite(t, folder)
	connection, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer connection.Close()
	_, err = connection.ExecContext(t.Context(), "BEGIN IMMEDIATE") // another program writes
	require.NoError(t, err)
	assert.Empty(t, claim(t, c, "one", false))
	_, err = connection.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
}
