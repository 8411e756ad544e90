package resources_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// A storage error contains the reason, the path, and advice for the user.
func TestStorageError_Advice(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		damage         func(t *testing.T, folder string, free *atomic.Uint64)
		reason, advice string
	}{
		"gone": {
			func(t *testing.T, folder string, _ *atomic.Uint64) { require.NoError(t, os.RemoveAll(folder)) },
			"it was moved or deleted, or its disk is not mounted", "put the folder",
		},
		"no space": {
			func(_ *testing.T, _ string, free *atomic.Uint64) { free.Store(20 << 20) },
			"not enough free space for an image", "free space on the disk",
		},
		"linked": {
			func(t *testing.T, folder string, _ *atomic.Uint64) {
				year := filepath.Join(folder, time.Now().UTC().Format("2006"))
				require.NoError(t, os.RemoveAll(year))
				require.NoError(t, os.Symlink(t.TempDir(), year))
			},
			"path escapes from parent", "replace the symbolic link",
		},
		"damaged catalog": {
			func(t *testing.T, folder string, _ *atomic.Uint64) {
				// Another file has its name, for example one that a sync program wrote.
				path := filepath.Join(folder, ".catalog.db")
				for _, suffix := range []string{"", "-wal", "-shm"} {
					require.NoError(t, os.Remove(path+suffix))
				}
				require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("this is no database ", 100)), 0o600))
			},
			"file is not a database", "images reindex",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			var free atomic.Uint64
			free.Store(1 << 40)
			l := newLibrary(libraryOptions{
				Folder: folder, Now: time.Now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler),
				Free: func(string) (uint64, error) { return free.Load(), nil },
			})
			t.Cleanup(func() { assert.NoError(t, l.Close()) })
			save(t, l, "before", []byte("x"))
			tt.damage(t, folder, &free)
			err := l.Prepare(t.Context(), time.Now())
			require.ErrorIs(t, err, resources.ErrStorage)
			var storage *resources.StorageError
			require.ErrorAs(t, err, &storage)
			assert.Contains(t, storage.Reason(), tt.reason)
			assert.NotContains(t, storage.Reason(), folder, "the path is in another part of the message")
			assert.Contains(t, storage.Advice(), tt.advice)
			assert.Contains(t, storage.Path, folder)
			assert.Contains(t, storage.Advice(), storage.Path)
		})
	}
}
