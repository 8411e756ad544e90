package storetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"zai-image-mcp/resources"
)

func testDelete(t *testing.T, s resources.Store) {
	require.NoError(t, s.Delete(t.Context(), nameOf(1)))
	put(t, s, nameOf(1), []byte("x"))
	require.NoError(t, s.Delete(t.Context(), nameOf(1)))
	require.NoError(t, s.Delete(t.Context(), nameOf(1)))
	_, err := s.Stat(t.Context(), nameOf(1))
	requireMissing(t, err)
	put(t, s, nameOf(1), []byte("y"))
	assert.Equal(t, "y", string(read(t, s, nameOf(1))))
}

func testQuarantine(t *testing.T, s resources.Store) {
	for _, content := range []string{"damaged", "damaged again"} {
		put(t, s, nameOf(1), []byte(content))
		require.NoError(t, s.Quarantine(t.Context(), nameOf(1)))
		_, err := s.Stat(t.Context(), nameOf(1))
		requireMissing(t, err)
	}
	found, err := s.Walk(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found.Files)
	put(t, s, nameOf(1), []byte("sound"))
	assert.Equal(t, "sound", string(read(t, s, nameOf(1))))
}

func testWalk(t *testing.T, s resources.Store) {
	require.NoError(t, s.Prepare(t.Context(), ""))
	found, err := s.Walk(t.Context())
	require.NoError(t, err)
	require.Empty(t, found.Files)
	want := map[string]string{}
	for n, folder := range []string{"2026/11/20/", "2026/11/21/", "", "favourites/", "a/b/c/d/"} {
		name := folder + "x-" + fileOf(n)
		put(t, s, name, []byte("x"))
		want[name] = idOf(n)
	}
	for _, name := range []string{
		".previews/2026/11/20/x-" + fileOf(1), ".exports/2026/11/20/" + idOf(1) + "-png.png", "a/.hidden/x-" + fileOf(2), ".x-" + fileOf(3), resources.Quarantined + "/x-" + fileOf(4),
		"readme.txt", "2026/11/20/x.png", "2026/11/20/x-" + idOf(5) + ".txt", "2026/11/20/x-" + idOf(6), "2026/11/20/x-ilou" + idOf(7)[4:] + ".png",
	} {
		put(t, s, name, []byte("x"))
	}
	found, err = s.Walk(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, found.Files)
	assert.Empty(t, found.Temporary)
	assert.Empty(t, found.Unreadable)
}

// list returns what List visits, with times removed.
func list(t *testing.T, s resources.Store, prefix string) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	require.NoError(t, s.List(t.Context(), prefix, func(f resources.StoredFile) error {
		assert.NotContains(t, sizes, f.Name)
		assert.WithinDuration(t, time.Now(), f.Modified, time.Hour)
		sizes[f.Name] = f.Size
		return nil
	}))
	return sizes
}

func testList(t *testing.T, s resources.Store) {
	require.Empty(t, list(t, s, ""))
	require.Empty(t, list(t, s, "2026/11/20/x"))
	all := map[string]int64{
		"2026/11/20/ab-png.png": 1, "2026/11/20/ab-webp.webp": 2, "2026/11/20/abc/x.png": 3, "2026/11/21/ab-png.png": 4,
		"2026/11/20-x.png": 5, ".hidden/x.png": 6, "ab-png.png": 7,
	}
	for name, size := range all {
		put(t, s, name, make([]byte, size))
	}
	for _, prefix := range []string{"", "2026/", "2026/11/20", "2026/11/20/", "2026/11/20/ab-", "2026/11/20/ab", "2026/11/20/abc/", ".hid", "ab", "none/", "2026/11/20/none"} {
		want := map[string]int64{}
		for name, size := range all {
			if strings.HasPrefix(name, prefix) {
				want[name] = size
			}
		}
		assert.Equal(t, want, list(t, s, prefix), "prefix %q", prefix)
	}
	stop, visits := errors.New("stop"), 0
	err := s.List(t.Context(), "", func(resources.StoredFile) error { visits++; return stop })
	require.Equal(t, stop, err)
	assert.Equal(t, 1, visits)
	require.NoError(t, s.List(t.Context(), "2026/", func(f resources.StoredFile) error { return s.Delete(t.Context(), f.Name) }))
	assert.Empty(t, list(t, s, "2026/"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.List(ctx, "", func(resources.StoredFile) error { return nil }), context.Canceled)
}

func testWalkManyFiles(t *testing.T, s resources.Store) {
	const count = 2*1000 + 3 // of which services list 1,000 at once
	want := map[string]string{}
	group, ctx := errgroup.WithContext(t.Context())
	const parallel = 16
	group.SetLimit(parallel)
	for n := range count {
		want[nameOf(n)] = idOf(n)
		group.Go(func() error {
			_, _, err := s.Put(ctx, nameOf(n), bytes.NewReader([]byte{byte(n)}))
			return err
		})
	}
	require.NoError(t, group.Wait())
	found, err := s.Walk(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, found.Files)
	assert.Len(t, list(t, s, ""), count)
}
