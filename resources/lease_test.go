package resources_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Claim takes no write lock if no image is due.
func TestClaim_NothingDue(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	save(t, l, "x", []byte("x"))
	db := openSQLite(t, filepath.Join(folder, ".catalog.db"))
	connection, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer connection.Close()
	_, err = connection.ExecContext(t.Context(), "BEGIN IMMEDIATE") // another program writes
	require.NoError(t, err)
	list, err := l.Claim(t.Context(), resources.Lease{Process: "one", Until: time.Now().Add(time.Minute)}, 10, false)
	require.NoError(t, err)
	assert.Empty(t, list)
	_, err = connection.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
}
