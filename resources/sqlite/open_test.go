package sqlite_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/sqlite"
)

// pragma returns a setting of a new connection to the catalog at a path, opened
// with the catalog's own parameters.
func pragma(t *testing.T, path, name string) (value string) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlite.DataSource(path))
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value))
	return value
}

// The pragmas make a commit survive a power cut and let several processes use the
// catalog.
func TestCatalog_Pragmas(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	save(t, open(t, folder), "x")
	for name, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "busy_timeout": "15000"} {
		assert.Equal(t, want, pragma(t, catalogPath(folder), name), name)
	}
}

// On a network file system the rollback journal is used, and a warning is logged.
func TestCatalog_NetworkFileSystem(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	folder := t.TempDir()
	c := open(t, folder, func(o *sqlite.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.NetworkFileSystem = func(string) (string, bool) { return "NFS", true }
	})
	save(t, c, "x")
	assert.Equal(t, "delete", pragma(t, catalogPath(folder), "journal_mode"))
	assert.Contains(t, log.String(), "NFS")
	assert.Equal(t, 1, strings.Count(log.String(), "network file system"), "the warning is logged once")
}

// Each form of a path becomes the URI that SQLite expects (sqlite.org/uri.html).
func TestDataSource(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/home/me/.catalog.db":                       "file:/home/me/.catalog.db?",
		"C:/Users/me/.catalog.db":                    "file:C:/Users/me/.catalog.db?",
		"//fileserver/home$/me/Pictures/.catalog.db": "file:////fileserver/home$/me/Pictures/.catalog.db?",
		"/a b%#?'ü.db":                               "file:/a%20b%25%23%3F%27%C3%BC.db?",
	} {
		assert.True(t, strings.HasPrefix(sqlite.DataSource(path), want), sqlite.DataSource(path))
	}
	// SQLite accepts the URI of a share, which is an ordinary path on this system.
	share := "/" + filepath.Join(t.TempDir(), "share.db")
	for name, want := range map[string]string{"fullfsync": "1", "checkpoint_fullfsync": "1", "journal_size_limit": "67108864"} {
		assert.Equal(t, want, pragma(t, share, name), name)
	}
}
