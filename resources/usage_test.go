package resources_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// Usage sums saved images by month and owner, and the files that can be made again.
func TestUsage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	usage, err := l.Usage(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, resources.Usage{Months: []resources.MonthUsage{}}, usage, "an empty library")
	insert := func(owner string, month time.Month, size int64, state resources.State) {
		id, err := l.NewID()
		require.NoError(t, err)
		_, err = l.Catalog().Insert(t.Context(), resources.Row{Image: resources.Image{
			ID: id, Owner: owner, State: state, CreatedAt: time.Date(2025, month, 1, 0, 0, 0, 0, time.UTC), Bytes: size,
		}})
		require.NoError(t, err)
	}
	insert("bob", 11, 100, resources.Saved)
	insert("alice", 11, 10, resources.Saved)
	insert("alice", 11, 20, resources.Saved)
	insert("alice", 2, 7, resources.Saved)
	insert("alice", 2, 1000, resources.Removed)
	usage, err = l.Usage(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, []resources.MonthUsage{{"2025-11", "alice", 2, 30}, {"2025-11", "bob", 1, 100}, {"2025-02", "alice", 1, 7}}, usage.Months)
	usage, err = l.Usage(t.Context(), "bob")
	require.NoError(t, err)
	assert.Equal(t, []resources.MonthUsage{{"2025-11", "bob", 1, 100}}, usage.Months)

	i := save(t, l, "x", testrig.PNGPhoto(t, 64, 48))
	_, err = l.Preview(t.Context(), i)
	require.NoError(t, err)
	_, err = l.Exports(t.Context(), i, spec(t, "ico"), spec(t, "png-10x10-cover"))
	require.NoError(t, err)
	usage, err = l.Usage(t.Context(), "bob")
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2}, []int{usage.Previews.Files, usage.Exports.Files})
	size := int64(0)
	for _, path := range cacheFiles(t, folder) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		size += info.Size()
	}
	assert.Equal(t, size, usage.Exports.Bytes)
}

// PruneExports deletes only files of the cache that are old enough.
func TestPruneExports(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	deleted, err := l.PruneExports(t.Context(), time.Now())
	require.NoError(t, err)
	assert.Zero(t, deleted, "there are none yet")
	_, err = os.Stat(filepath.Join(folder, ".exports"))
	require.ErrorIs(t, err, os.ErrNotExist, "nothing is created")
	i := save(t, l, "x", testrig.PNGPhoto(t, 64, 48))
	_, err = l.Exports(t.Context(), i, spec(t, "ico"), spec(t, "png-10x10-cover"))
	require.NoError(t, err)
	old := cacheFiles(t, folder)[0]
	info, err := os.Stat(old)
	require.NoError(t, err)
	then := time.Now().Add(-100 * 24 * time.Hour)
	require.NoError(t, os.Chtimes(old, then, then))
	deleted, err = l.PruneExports(t.Context(), time.Now().Add(-90*24*time.Hour))
	require.NoError(t, err)
	assert.Equal(t, resources.CacheUsage{Files: 1, Bytes: info.Size()}, deleted)
	left := cacheFiles(t, folder)
	require.Len(t, left, 1)
	assert.NotEqual(t, old, left[0])
	_, err = l.Read(t.Context(), i)
	require.NoError(t, err)
}

// Check counts the exports in the cache, and reports those of removed and unknown images.
// Repair deletes these.
func TestCheck_Exports(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	i, removed := save(t, l, "x", testrig.PNGPhoto(t, 64, 48)), save(t, l, "y", testrig.PNGPhoto(t, 64, 48))
	for _, each := range []resources.Image{i, removed} {
		_, err := l.Exports(t.Context(), each, spec(t, "ico"), spec(t, "png-10x10-cover"))
		require.NoError(t, err)
	}
	report, err := l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Problems)
	usage, err := l.Usage(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, []int64{int64(usage.Exports.Files), usage.Exports.Bytes}, []int64{int64(report.Exports), report.ExportBytes})

	day := filepath.Dir(cacheFiles(t, folder)[0])
	unknown, err := l.NewID()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(day, unknown+"-png.png"), []byte("x"), 0o600))
	_, err = l.Catalog().Remove(t.Context(), "local", removed.ID) // its process died before it deleted the files
	require.NoError(t, err)
	l = later(t, folder, 2*time.Minute)
	report, err = l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	got := found(report)[resources.StaleExport]
	assert.ElementsMatch(t, []string{unknown, removed.ID, removed.ID}, got)
	assert.Equal(t, 5, report.Exports)
	for _, p := range report.Problems {
		_, err := l.Repair(t.Context(), p)
		require.NoError(t, err)
	}
	report, err = l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Problems)
	assert.Equal(t, 2, report.Exports)
}

// Check reports a cache that is larger than its limit, and Repair deletes the oldest files.
func TestCheck_ExportsFull(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := openWith(t, libraryOptions{Folder: folder, ExportsLimit: 1000})
	i := save(t, l, "x", testrig.PNGPhoto(t, 64, 48))
	day := filepath.Join(folder, ".exports", i.CreatedAt.Format("2006/01/02"))
	require.NoError(t, os.MkdirAll(day, 0o755))
	for _, text := range []string{"png-10x10-cover", "jpg"} {
		path := filepath.Join(day, i.ID+"-"+text)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Truncate(path, 40<<20)) // a file without blocks
	}
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	require.Len(t, report.Problems, 1)
	assert.Equal(t, resources.ExportsFull, report.Problems[0].Kind)
	assert.Contains(t, report.Problems[0].Detail, "the limit is 1000")
	done, err := l.Repair(t.Context(), report.Problems[0])
	require.NoError(t, err)
	assert.Contains(t, done, "2")
	assert.Empty(t, cacheFiles(t, folder))
}

// Files in the folder of the cache that are no exports are neither counted nor deleted: the
// catalog, beside which the cache is, may be in a folder with other things.
func TestExports_ForeignFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := openWith(t, libraryOptions{Folder: folder, ExportsLimit: 5000})
	i := save(t, l, "x", testrig.PNGPhoto(t, 64, 48))
	day := filepath.Join(folder, ".exports", i.CreatedAt.Format("2006/01/02"))
	other := filepath.Join(folder, ".exports", "1999", "01", "01")
	foreign := []string{filepath.Join(folder, ".exports", "db.sql"), filepath.Join(day, "notes-2.txt"), filepath.Join(other, i.ID+"-png.png")}
	for _, path := range foreign {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, make([]byte, 6000), 0o600))
	}
	_, err := l.Export(t.Context(), i, spec(t, "png-10x10-cover"))
	require.NoError(t, err)
	usage, err := l.Usage(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, 1, usage.Exports.Files)
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Problems)
	deleted, err := l.PruneExports(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	assert.Equal(t, 1, deleted.Files)
	require.NoError(t, l.Remove(t.Context(), "local", i.ID))
	for _, path := range foreign {
		_, err := os.Stat(path)
		require.NoError(t, err)
	}
}
