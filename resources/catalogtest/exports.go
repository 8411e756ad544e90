package catalogtest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// exported describes a file that was written n seconds after the first one.
func exported(path, image string, n int) resources.Exported {
	return resources.Exported{
		Path: path, ImageID: image, Spec: "webp-1200x630-cover", SHA256: fmt.Sprintf("%064x", n), Bytes: 1<<33 + int64(n),
		CreatedAt: time.Date(2026, 11, 24, 10, 0, n, 0, time.UTC),
	}
}

// Files are recorded by their path. A removed image keeps its records.
func testExports(t *testing.T, open func() resources.Catalog) {
	c := open()
	ctx := t.Context()
	image, another := insert(t, c, nil), insert(t, c, nil)
	_, err := c.ExportAt(ctx, "/p/hero.png")
	require.ErrorIs(t, err, resources.ErrNotFound)
	list, err := c.ExportsOf(ctx, image.ID)
	require.NoError(t, err)
	assert.Empty(t, list)

	first, second, third := exported("/p/z.png", image.ID, 1), exported("/p/a.png", image.ID, 2), exported("/p/hero.png", another.ID, 3)
	for _, e := range []resources.Exported{second, first, third} {
		require.NoError(t, c.RecordExport(ctx, e))
	}
	for _, want := range []resources.Exported{first, second, third} {
		got, err := open().ExportAt(ctx, want.Path)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	list, err = c.ExportsOf(ctx, image.ID)
	require.NoError(t, err)
	assert.Equal(t, []resources.Exported{first, second}, list, "the oldest first")

	replaced := exported(third.Path, image.ID, 4)
	replaced.Spec = "png"
	require.NoError(t, c.RecordExport(ctx, replaced))
	got, err := c.ExportAt(ctx, third.Path)
	require.NoError(t, err)
	assert.Equal(t, replaced, got)
	list, err = c.ExportsOf(ctx, another.ID)
	require.NoError(t, err)
	assert.Empty(t, list, "its file was replaced")

	_, err = c.Remove(ctx, owner, image.ID)
	require.NoError(t, err)
	list, err = c.ExportsOf(ctx, image.ID)
	require.NoError(t, err)
	assert.Equal(t, []resources.Exported{first, second, replaced}, list)
}

// Paths are any bytes that a system accepts. Paths that differ in one byte are different.
func testExportsPaths(t *testing.T, open func() resources.Catalog) {
	c := open()
	ctx, id := t.Context(), newID()
	paths := []string{
		"C:\\Users\\O'Neil\\狐狸 \"%_?:now\"\n.png", "/p/\xff.png", "/p/\xfe.png", "/p/\uFFFD.png", "/p/\x00.png", "/p/\xed\xa0\x80.png",
		"/p/a.png", "/p/A.png", "/p/ä.png", "/p/a\u0308.png", "/" + strings.Repeat("x", 1000) + ".png",
	}
	var want []resources.Exported
	for n, path := range paths {
		e := exported(path, id, n)
		require.NoError(t, c.RecordExport(ctx, e), "%q", path)
		want = append(want, e)
	}
	for _, e := range want {
		got, err := c.ExportAt(ctx, e.Path)
		require.NoError(t, err, "%q", e.Path)
		assert.Equal(t, e, got)
	}
	list, err := c.ExportsOf(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, want, list)
	var all []resources.Exported
	for last := ""; ; last = all[len(all)-1].Path {
		page, err := c.ExportsAfter(ctx, last)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		all = append(all, page[0]) // as if each page had one
	}
	assert.ElementsMatch(t, want, all)

	random := make([]byte, 4000) // cannot be compressed
	_, _ = rand.Read(random)
	long := "/" + hex.EncodeToString(random[:1300])
	require.NoError(t, c.RecordExport(ctx, exported(long[:2500], id, 0)))
	for _, path := range []string{long[:2501], "/" + string(random)} {
		require.Error(t, c.RecordExport(ctx, exported(path, id, 0)))
		_, err = c.ExportAt(ctx, path)
		require.ErrorIs(t, err, resources.ErrNotFound)
	}
}

// ExportsAfter returns all records page by page.
func testExportsPages(t *testing.T, open func() resources.Catalog) {
	c := open()
	const count = 503
	want := map[string]bool{}
	for n := range count {
		e := exported(fmt.Sprintf("/p/%d.png", n), newID(), 0)
		require.NoError(t, c.RecordExport(t.Context(), e))
		want[e.Path] = true
	}
	for last := ""; ; {
		page, err := c.ExportsAfter(t.Context(), last)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			assert.Greater(t, e.Path, last)
			assert.True(t, want[e.Path])
			delete(want, e.Path)
			last = e.Path
		}
	}
	assert.Empty(t, want)
}

// MonthUsage sums the sizes of saved images by month and owner.
func testMonthUsage(t *testing.T, open func() resources.Catalog) {
	c := open()
	list, err := c.MonthUsage(t.Context(), "")
	require.NoError(t, err)
	assert.Empty(t, list)
	add := func(owner string, state resources.State, created time.Time, bytes int64) {
		insert(t, c, func(r *resources.Row) { r.Owner, r.State, r.CreatedAt, r.Bytes = owner, state, created, bytes })
	}
	october, november := time.Date(2026, 10, 31, 23, 59, 59, 0, time.UTC), time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	add("alice", resources.Saved, october, 1<<40)
	add("alice", resources.Saved, november, 2)
	add("alice", resources.Saved, november, 3)
	add("bob", resources.Saved, november, 4)
	for _, state := range resources.States() {
		if state != resources.Saved {
			add("bob", state, november, 100)
		}
	}
	alice := []resources.MonthUsage{{Month: "2026-11", Owner: "alice", Images: 2, Bytes: 5}, {Month: "2026-10", Owner: "alice", Images: 1, Bytes: 1 << 40}}
	list, err = c.MonthUsage(t.Context(), "alice")
	require.NoError(t, err)
	assert.Equal(t, alice, list)
	list, err = c.MonthUsage(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, []resources.MonthUsage{alice[0], {Month: "2026-11", Owner: "bob", Images: 1, Bytes: 4}, alice[1]}, list)
}
