package resources_test

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// A library fails while its folder is moved away, and works again after the folder is
// moved back.
func TestLibrary_FolderMovedAndRestored(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "images")
	l := open(t, folder)
	i := save(t, l, "before", []byte("x"))
	away := filepath.Join(t.TempDir(), "away")
	require.NoError(t, os.Rename(folder, away))
	_, _, err := l.List(t.Context(), "local", "", "", 10)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, err = l.Preview(t.Context(), i)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, err = os.Stat(folder)
	require.ErrorIs(t, err, fs.ErrNotExist, "no empty library is created in its place")
	require.NoError(t, os.Rename(away, folder))
	got, err := l.Image(t.Context(), "local", i.ID)
	require.NoError(t, err)
	assert.Equal(t, i, got)
	save(t, l, "after", []byte("x"))
}

// If the folder is replaced, for example by a restored backup, the library uses the
// new folder.
func TestLibrary_FolderReplaced(t *testing.T) {
	t.Parallel()
	backup := filepath.Join(t.TempDir(), "backup")
	kept := save(t, open(t, backup), "in the backup", []byte("x"))
	folder := filepath.Join(t.TempDir(), "images")
	l := open(t, folder)
	lost := save(t, l, "not in the backup", []byte("x"))
	require.NoError(t, os.Rename(folder, filepath.Join(t.TempDir(), "away")))
	require.NoError(t, os.Rename(backup, folder))
	list, _, err := l.List(t.Context(), "local", "", "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, kept.ID, list[0].ID)
	_, err = l.Image(t.Context(), "local", lost.ID)
	require.ErrorIs(t, err, resources.ErrNotFound)
	_, err = os.Stat(l.Path(save(t, l, "new", []byte("x"))))
	require.NoError(t, err)
}

// A deleted folder is not created again if the catalog is in another folder.
func TestPrepare_FolderDeletedCatalogElsewhere(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "images")
	l := newLibrary(libraryOptions{
		Folder: folder, Catalog: filepath.Join(t.TempDir(), "catalog.db"), Now: time.Now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler),
	})
	defer l.Close()
	save(t, l, "before", []byte("x"))
	require.NoError(t, os.RemoveAll(folder))
	require.ErrorIs(t, l.Prepare(t.Context(), time.Now()), resources.ErrStorage)
	_, err := os.Stat(folder)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// A folder that cannot be created is a storage error.
func TestPrepare_UnusableFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	l := open(t, filepath.Join(file, "folder"))
	require.ErrorIs(t, l.Prepare(t.Context(), time.Now()), resources.ErrStorage)
	_, err := reserveOne(l, resources.Image{Owner: "local"}, 0)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, _, err = l.List(t.Context(), "local", "", "", 10)
	require.ErrorIs(t, err, resources.ErrStorage)
}
