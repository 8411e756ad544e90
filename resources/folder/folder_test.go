package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/storetest"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	for name, durable := range map[string]bool{"durable": true, "not durable": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t testing.TB) resources.Store {
				return folder.New(folder.Options{Dir: t.TempDir(), Durable: durable, Now: time.Now})
			})
		})
	}
}

// List of a folder that does not exist visits nothing and creates nothing, unless the
// folder of a durable library is gone.
func TestFolder_ListOfMissingFolder(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ durable, used, gone bool }{
		"durable, new":      {durable: true},
		"durable, used":     {durable: true, used: true, gone: true},
		"not durable, new":  {},
		"not durable, used": {used: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "cache")
			f := folder.New(folder.Options{Dir: dir, Durable: tt.durable, Now: time.Now})
			t.Cleanup(func() { assert.NoError(t, f.Close()) })
			if tt.used {
				_, _, err := f.Put(t.Context(), "x.png", strings.NewReader("x"))
				require.NoError(t, err)
				require.NoError(t, os.RemoveAll(dir))
			}
			err := f.List(t.Context(), "", func(found resources.StoredFile) error {
				assert.Fail(t, "a file was visited", found.Name)
				return nil
			})
			if tt.gone {
				require.ErrorIs(t, err, resources.ErrGone)
			} else {
				require.NoError(t, err)
			}
			_, err = os.Stat(dir)
			require.ErrorIs(t, err, fs.ErrNotExist)
		})
	}
}

// List succeeds while files and folders are deleted. It may have read the names of some
// of them before.
func TestFolder_ListDuringDeletion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := folder.New(folder.Options{Dir: dir, Now: time.Now})
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	for _, name := range []string{"a/1.png", "a/2.png", "b/3.png", "c/4.png"} {
		_, _, err := f.Put(t.Context(), name, strings.NewReader("x"))
		require.NoError(t, err)
	}
	var visited []string
	require.NoError(t, f.List(t.Context(), "", func(found resources.StoredFile) error {
		visited = append(visited, found.Name)
		return errors.Join(os.RemoveAll(filepath.Join(dir, "a")), os.RemoveAll(filepath.Join(dir, "b")))
	}))
	assert.Subset(t, visited, []string{"a/1.png", "c/4.png"})
	assert.NotContains(t, visited, "b/3.png")
}

// List leaves out a file that is being written, and visits one that a dead process left.
func TestFolder_ListTemporary(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".tmp-ABCDEFGH-x.png"), []byte("x"), 0o600))
	for name, tt := range map[string]struct {
		age  time.Duration
		want []string
	}{
		"being written": {age: time.Minute},
		"left":          {age: 2 * time.Hour, want: []string{".tmp-ABCDEFGH-x.png"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folder.New(folder.Options{Dir: dir, Now: func() time.Time { return now.Add(tt.age) }})
			t.Cleanup(func() { assert.NoError(t, f.Close()) })
			var names []string
			require.NoError(t, f.List(t.Context(), "", func(found resources.StoredFile) error {
				names = append(names, found.Name)
				return nil
			}))
			assert.Equal(t, tt.want, names)
		})
	}
}
