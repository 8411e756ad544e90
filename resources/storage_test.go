package resources_test

import (
	"bytes"
	"database/sql"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Each error of storage names the place and says what the user can do there.
func TestStorageError_Advice(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil        func(t *testing.T, l *resources.Library, folder string)
		reason, todo string
	}{
		"gone": {
			func(t *testing.T, _ *resources.Library, folder string) { require.NoError(t, os.RemoveAll(folder)) },
			"it was moved or deleted, or its disk is not mounted", "put the folder",
		},
		"no space": {
			func(_ *testing.T, l *resources.Library, _ string) {
				l.SetFreeSpace(func(string) (uint64, error) { return 20 << 20, nil })
			},
			"not enough free space for an image", "free space on the disk",
		},
		"linked": {
			func(t *testing.T, _ *resources.Library, folder string) {
				year := filepath.Join(folder, time.Now().UTC().Format("2006"))
				require.NoError(t, os.RemoveAll(year))
				require.NoError(t, os.Symlink(t.TempDir(), year))
			},
			"path escapes from parent", "replace the symbolic link",
		},
		"damaged catalog": {
			func(t *testing.T, _ *resources.Library, folder string) {
				// Another file in its place, as a sync program leaves it.
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
			folder := t.TempDir()
			l := open(t, folder)
			save(t, l, "before", []byte("x"))
			tt.spoil(t, l, folder)
			_, err := reserveOne(l, resources.Image{Owner: "local"}, 0)
			require.ErrorIs(t, err, resources.ErrStorage)
			var storage *resources.StorageError
			require.ErrorAs(t, err, &storage)
			assert.Contains(t, storage.Reason(), tt.reason)
			assert.NotContains(t, storage.Reason(), folder, "the path stands before it")
			assert.Contains(t, storage.Advice(), tt.todo)
			assert.Contains(t, storage.Path, folder)
			assert.Contains(t, storage.Advice(), storage.Path)
		})
	}
}

// A folder that is put back is the library it was.
func TestLibrary_FolderAwayAndBack(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "images")
	l := open(t, folder)
	i := save(t, l, "before", []byte("x"))
	away := filepath.Join(t.TempDir(), "away")
	require.NoError(t, os.Rename(folder, away))
	_, _, err := l.List(t.Context(), "local", "", "", 10)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, err = os.Stat(folder)
	require.ErrorIs(t, err, fs.ErrNotExist, "no empty library is made in its place")
	require.NoError(t, os.Rename(away, folder))
	got, err := l.Image(t.Context(), "local", i.ID)
	require.NoError(t, err)
	assert.Equal(t, i, got)
	save(t, l, "after", []byte("x"))
}

// Another folder in its place, such as a restored backup, is used from then on.
func TestLibrary_FolderReplaced(t *testing.T) {
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

// A folder that is gone is not created anew while the catalog lies elsewhere.
func TestReserve_FolderGoneCatalogElsewhere(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "images")
	l := resources.New(resources.Options{
		Folder: folder, Catalog: filepath.Join(t.TempDir(), "catalog.db"), Now: time.Now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler),
	})
	defer l.Close()
	save(t, l, "before", []byte("x"))
	require.NoError(t, os.RemoveAll(folder))
	_, err := reserveOne(l, resources.Image{Owner: "local"}, 0)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, err = os.Stat(folder)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// A file that was moved within the folder is one problem, not two.
func TestCheck_MovedFile(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	i := save(t, l, "x", []byte("x"))
	other := filepath.Join(folder, "favourites")
	require.NoError(t, os.Mkdir(other, 0o755))
	require.NoError(t, os.Rename(l.Path(i), filepath.Join(other, filepath.Base(l.Path(i)))))
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	require.Len(t, report.Problems, 1)
	assert.Equal(t, resources.Moved, report.Problems[0].Kind)
}

// A step of an image that the catalog does not know, as it was replaced, is
// entered whole; a row that knows better is left alone.
func TestRecord_UnknownImage(t *testing.T) {
	l := open(t, t.TempDir())
	i := reserve(t, open(t, t.TempDir()), "x")
	i.State, i.UpstreamURL = resources.Answered, "https://images.example/x.png"
	require.NoError(t, l.Record(t.Context(), i))
	got, err := l.Image(t.Context(), "local", i.ID)
	require.NoError(t, err)
	assert.Equal(t, i, got)
	require.NoError(t, l.Remove(t.Context(), "local", save(t, l, "y", []byte("y")).ID))
	removed := i
	removed.ID = got.ID
	require.NoError(t, l.Record(t.Context(), removed))
}

// On a network file system the rollback journal is used, and the log says so.
func TestCatalog_NetworkFileSystem(t *testing.T) {
	var log bytes.Buffer
	l := resources.New(resources.Options{Folder: t.TempDir(), Now: time.Now, Random: randomReader{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer l.Close()
	l.SetNetwork("NFS")
	save(t, l, "x", []byte("x"))
	mode, err := l.Pragma(t.Context(), "journal_mode")
	require.NoError(t, err)
	assert.Equal(t, "delete", mode)
	assert.Contains(t, log.String(), "NFS")
	assert.Equal(t, 1, strings.Count(log.String(), "network file system"), "once")
}

// The forms of the catalog's path that SQLite needs (sqlite.org/uri.html).
func TestDataSource(t *testing.T) {
	for path, want := range map[string]string{
		"/home/me/.catalog.db":                       "file:/home/me/.catalog.db?",
		"C:/Users/me/.catalog.db":                    "file:C:/Users/me/.catalog.db?",
		"//fileserver/home$/me/Pictures/.catalog.db": "file:////fileserver/home$/me/Pictures/.catalog.db?",
		"/a b%#?'ü.db":                               "file:/a%20b%25%23%3F%27%C3%BC.db?",
	} {
		assert.True(t, strings.HasPrefix(resources.DataSource(path), want), resources.DataSource(path))
	}
	// SQLite opens the form of a share; on this system it is a path like any other.
	share := "/" + filepath.Join(t.TempDir(), "share.db")
	db, err := sql.Open("sqlite", resources.DataSource(share))
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.PingContext(t.Context()))
	for name, want := range map[string]string{"fullfsync": "1", "checkpoint_fullfsync": "1", "journal_size_limit": "67108864"} {
		var got string
		require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got))
		assert.Equal(t, want, got, name)
	}
}

// A preview made of an image that was removed meanwhile is not kept.
func TestPreview_RemovedMeanwhile(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	i := saveFile(t, l, "image/png", ".png", pngPhoto(t, 64, 48), 64, 48)
	file, err := os.ReadFile(l.Path(i))
	require.NoError(t, err)
	require.NoError(t, l.Remove(t.Context(), "local", i.ID))
	require.NoError(t, os.WriteFile(l.Path(i), file, 0o600)) // as if the decoder had it open
	_, err = l.Preview(t.Context(), i)
	require.NoError(t, err)
	kept, err := filepath.Glob(filepath.Join(folder, ".previews", "*", "*", "*", "*.jpg"))
	require.NoError(t, err)
	assert.Empty(t, kept)
}

// Previews are kept again after somebody deleted their folder.
func TestPreview_FolderDeleted(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	for _, prompt := range []string{"first", "second"} {
		i := save(t, l, prompt, pngPhoto(t, 64, 48))
		_, err := l.Preview(t.Context(), i)
		require.NoError(t, err)
		kept, err := filepath.Glob(filepath.Join(folder, ".previews", "*", "*", "*", prompt+"*.jpg"))
		require.NoError(t, err)
		require.Len(t, kept, 1, prompt)
		require.NoError(t, os.RemoveAll(filepath.Join(folder, ".previews")))
	}
}

func TestSweepPreviews(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	deleted, err := l.SweepPreviews(t.Context())
	require.NoError(t, err)
	assert.Zero(t, deleted, "there are none yet")
	i := save(t, l, "kept", pngPhoto(t, 64, 48))
	preview, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	day := filepath.Join(folder, ".previews", filepath.Dir(filepath.FromSlash(i.Path)))
	id, err := l.NewID()
	require.NoError(t, err)
	orphan := filepath.Join(day, "my-secret-plan-"+id+".jpg")
	require.NoError(t, os.WriteFile(orphan, preview, 0o600))
	deleted, err = l.SweepPreviews(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, deleted)
	left, err := os.ReadDir(day)
	require.NoError(t, err)
	assert.Len(t, left, 1)
	_, err = os.Stat(orphan)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Ids sort in the order in which they were made, also when the clock is set
// back meanwhile.
func TestNewID_ClockSetBack(t *testing.T) {
	now := time.Now()
	l := resources.New(resources.Options{Folder: t.TempDir(), Now: func() time.Time { return now }, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	defer l.Close()
	last := ""
	for range 20 {
		id, err := l.NewID()
		require.NoError(t, err)
		assert.Greater(t, id, last)
		last, now = id, now.Add(-time.Minute)
	}
}

// What a sandbox that died left behind can be repaired with any key.
func TestRepair_SandboxLeftBehind(t *testing.T) {
	l := open(t, t.TempDir())
	_, err := reserveOne(l, resources.Image{Owner: "local", State: resources.Submitted, Sandbox: true, CostMicroUSD: 10_000}, 0)
	require.NoError(t, err)
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	require.Len(t, report.Problems, 1)
	done, err := l.Repair(t.Context(), report.Problems[0])
	require.NoError(t, err)
	assert.NotEmpty(t, done)
	report, err = l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Problems)
	assert.Zero(t, report.Unknown, "nothing was billed")
	spent, err := l.SpentToday(t.Context(), "local", true)
	require.NoError(t, err)
	assert.Zero(t, spent)
}
