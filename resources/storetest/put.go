package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"zai-image-mcp/resources"
)

func testPutThenRead(t *testing.T, s resources.Store) {
	for n, size := range []int{0, 1, 100_000, 5 << 20} {
		content := randomBytes(size)
		put(t, s, nameOf(n), content)
		assert.True(t, bytes.Equal(content, read(t, s, nameOf(n))), "%d bytes", size)
		info, err := s.Stat(t.Context(), nameOf(n))
		require.NoError(t, err)
		assert.Equal(t, int64(size), info.Size)
		if info.SHA256 != "" {
			assert.Equal(t, hashOf(content), info.SHA256)
		}
	}
}

func testPutAgain(t *testing.T, s resources.Store) {
	first, second := []byte("first"), []byte("second")
	put(t, s, nameOf(1), first)
	put(t, s, nameOf(1), first)
	_, _, err := s.Put(t.Context(), nameOf(1), bytes.NewReader(second))
	want := second
	if err != nil {
		require.ErrorIs(t, err, resources.ErrExists)
		require.NotContains(t, err.Error(), words)
		want = first
	}
	assert.Equal(t, want, read(t, s, nameOf(1)))
}

func testPutIsAtomic(t *testing.T, s resources.Store) {
	broken := errors.New("the source broke")
	half := func() io.Reader { return io.MultiReader(bytes.NewReader(randomBytes(6<<20)), iotest.ErrReader(broken)) }
	_, _, err := s.Put(t.Context(), nameOf(1), half())
	require.Equal(t, broken, err)
	_, err = s.Stat(t.Context(), nameOf(1))
	requireMissing(t, err)
	put(t, s, nameOf(2), []byte("old"))
	_, _, err = s.Put(t.Context(), nameOf(2), half())
	require.Equal(t, broken, err)
	assert.Equal(t, "old", string(read(t, s, nameOf(2))))
	found, err := s.Walk(t.Context())
	require.NoError(t, err)
	assert.Equal(t, map[string]string{nameOf(2): idOf(2)}, found.Files)
	assert.Empty(t, found.Temporary)
}

func testPutConcurrently(t *testing.T, s resources.Store) {
	var (
		group errgroup.Group
		mu    sync.Mutex
		saved = map[string]bool{}
	)
	for range 4 {
		content := randomBytes(300_000)
		for range 2 {
			group.Go(func() error {
				sha, _, err := s.Put(t.Context(), nameOf(1), bytes.NewReader(content))
				if errors.Is(err, resources.ErrExists) {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				saved[sha] = true
				return err
			})
		}
	}
	require.NoError(t, group.Wait())
	assert.Contains(t, saved, hashOf(read(t, s, nameOf(1))))
}

func testPrepare(t *testing.T, s resources.Store) {
	for range 2 {
		require.NoError(t, s.Prepare(t.Context(), nameOf(1)))
		require.NoError(t, s.Prepare(t.Context(), ""))
	}
	require.NoError(t, s.Present(t.Context()))
	require.NoError(t, s.Ping(t.Context()))
	found, err := s.Walk(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found.Files)
	assert.Empty(t, found.Temporary)
	assert.NotEmpty(t, s.Name())
}

func testNames(t *testing.T, s resources.Store) {
	long := make([]byte, 150)
	for i := range long {
		long[i] = 'x'
	}
	for n, slug := range []string{
		"红色的狐狸在雪地里", "лиса-в-снегу", "ثعلب-في-الثلج", "हिम-में-लोमड़ी", "🦊", "café", "a b", "a+b", "100%", "%2e%2e", "a&b=c", "it's", "~", "(x)", string(long),
	} {
		name := "2026/11/20/" + slug + "-" + fileOf(n)
		put(t, s, name, []byte(slug))
		assert.Equal(t, slug, string(read(t, s, name)))
		found, err := s.Walk(t.Context())
		require.NoError(t, err)
		assert.Equal(t, map[string]string{name: idOf(n)}, found.Files)
		require.NoError(t, s.Quarantine(t.Context(), name))
		_, err = s.Stat(t.Context(), name)
		requireMissing(t, err)
	}
}

func testCancelledContext(t *testing.T, s resources.Store) {
	put(t, s, nameOf(1), []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, putErr := s.Put(ctx, nameOf(2), bytes.NewReader([]byte("y")))
	_, statErr := s.Stat(ctx, nameOf(1))
	_, openErr := s.Open(ctx, nameOf(1))
	_, walkErr := s.Walk(ctx)
	for name, err := range map[string]error{
		"Put": putErr, "Stat": statErr, "Open": openErr, "Walk": walkErr, "Ping": s.Ping(ctx), "Prepare": s.Prepare(ctx, ""),
		"Present": s.Present(ctx), "Quarantine": s.Quarantine(ctx, nameOf(3)), "Delete": s.Delete(ctx, nameOf(3)),
	} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			require.ErrorIs(t, err, context.Canceled, name)
			require.NotErrorIs(t, err, resources.ErrStorage, name)
		}
	}
	assert.Equal(t, "x", string(read(t, s, nameOf(1))))
}
