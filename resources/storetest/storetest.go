// Package storetest is the suite that every resources.Store passes.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"zai-image-mcp/resources"
)

// Run tests a store. open returns an empty store, which the suite closes.
func Run(t *testing.T, open func(t testing.TB) resources.Store) {
	t.Helper()
	for _, tt := range []struct {
		name string
		test func(t *testing.T, s resources.Store)
	}{
		{"PutThenRead", testPutThenRead},
		{"PutAgain", testPutAgain},
		{"PutIsAtomic", testPutIsAtomic},
		{"PutConcurrently", testPutConcurrently},
		{"MissingFile", testMissingFile},
		{"Seek", testSeek},
		{"Version", testVersion},
		{"ReadWhileReplaced", testReadWhileReplaced},
		{"Delete", testDelete},
		{"Quarantine", testQuarantine},
		{"Prepare", testPrepare},
		{"Walk", testWalk},
		{"WalkManyFiles", testWalkManyFiles},
		{"Names", testNames},
		{"CancelledContext", testCancelledContext},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			t.Cleanup(func() { assert.NoError(t, s.Close()) })
			tt.test(t, s)
		})
	}
}

// words are part of the names of files, as the words of a prompt are.
const words = "zzsecretwords"

// nameOf returns the name of the n-th image file.
func nameOf(n int) string { return fmt.Sprintf("2026/11/20/%s-%s", words, fileOf(n)) }

// fileOf returns an id with an extension.
func fileOf(n int) string { return idOf(n) + ".png" }

func idOf(n int) string { return fmt.Sprintf("01kb%022d", n) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// put writes a file and checks what Put returns.
func put(t *testing.T, s resources.Store, name string, content []byte) {
	t.Helper()
	sha, size, err := s.Put(t.Context(), name, bytes.NewReader(content))
	require.NoError(t, err)
	require.Equal(t, hashOf(content), sha)
	require.Equal(t, int64(len(content)), size)
}

// read returns the content of a file.
func read(t *testing.T, s resources.Store, name string) []byte {
	t.Helper()
	f, err := s.Open(t.Context(), name)
	require.NoError(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	return b
}

// requireMissing checks the error for a missing file.
func requireMissing(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, resources.ErrCorrupt)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, resources.ErrStorage)
	require.NotContains(t, err.Error(), words)
}

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

// The same content can be saved again. Another one replaces it or is refused.
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

// If the reader fails, Put returns its error, and the name refers to what it did
// before.
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

// Of several contents that are saved under one name, the name refers to a whole one.
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

func testMissingFile(t *testing.T, s resources.Store) {
	for _, prepare := range []func(){func() {}, func() { put(t, s, nameOf(2), []byte("another")) }} {
		prepare()
		_, err := s.Open(t.Context(), nameOf(1))
		requireMissing(t, err)
		_, err = s.Stat(t.Context(), nameOf(1))
		requireMissing(t, err)
		requireMissing(t, s.Quarantine(t.Context(), nameOf(1)))
	}
}

// An open file can be read from any position.
func testSeek(t *testing.T, s resources.Store) {
	content := randomBytes(9<<20 + 17)
	put(t, s, nameOf(1), content)
	f, err := s.Open(t.Context(), nameOf(1))
	require.NoError(t, err)
	defer f.Close()
	want := bytes.NewReader(content)
	for _, step := range []struct {
		offset int64
		whence int
		length int
	}{
		{0, io.SeekStart, 100}, {0, io.SeekEnd, 10}, {0, io.SeekStart, 5 << 20}, {-100, io.SeekCurrent, 200}, {-50, io.SeekEnd, 100},
		{4<<20 - 3, io.SeekStart, 6}, {8<<20 - 1, io.SeekStart, 2}, {1, io.SeekEnd, 1}, {17, io.SeekStart, 9 << 20},
	} {
		wantAt, err := want.Seek(step.offset, step.whence)
		require.NoError(t, err)
		at, err := f.Seek(step.offset, step.whence)
		require.NoError(t, err)
		require.Equal(t, wantAt, at)
		wantBytes, err := io.ReadAll(io.LimitReader(want, int64(step.length)))
		require.NoError(t, err)
		got, err := io.ReadAll(io.LimitReader(f, int64(step.length)))
		require.NoError(t, err)
		require.True(t, bytes.Equal(wantBytes, got), "%+v", step)
	}
	_, err = f.Seek(-1, io.SeekStart)
	require.Error(t, err)
}

// The version of a file is the same until its content changes.
func testVersion(t *testing.T, s resources.Store) {
	put(t, s, nameOf(1), []byte("first"))
	first, err := s.Stat(t.Context(), nameOf(1))
	require.NoError(t, err)
	f, err := s.Open(t.Context(), nameOf(1))
	require.NoError(t, err)
	defer f.Close()
	opened, err := f.Info()
	require.NoError(t, err)
	assert.Equal(t, first.Version, opened.Version)
	require.NoError(t, s.Delete(t.Context(), nameOf(1)))
	put(t, s, nameOf(1), []byte("other"))
	second, err := s.Stat(t.Context(), nameOf(1))
	require.NoError(t, err)
	assert.NotEqual(t, first.Version, second.Version)
	opened, err = f.Info()
	require.NoError(t, err)
	assert.Equal(t, first.Version, opened.Version, "an open file describes the content that it reads")
}

// A file that is replaced while it is read has its old content or cannot be read.
func testReadWhileReplaced(t *testing.T, s resources.Store) {
	first := randomBytes(9 << 20)
	put(t, s, nameOf(1), first)
	f, err := s.Open(t.Context(), nameOf(1))
	require.NoError(t, err)
	defer f.Close()
	head := make([]byte, 100)
	_, err = io.ReadFull(f, head)
	require.NoError(t, err)
	require.NoError(t, s.Delete(t.Context(), nameOf(1)))
	put(t, s, nameOf(1), randomBytes(9<<20))
	rest, err := io.ReadAll(f)
	assert.True(t, bytes.HasPrefix(first, slices.Concat(head, rest)), "no byte of another content")
	if err != nil {
		require.ErrorIs(t, err, resources.ErrCorrupt)
		require.NotContains(t, err.Error(), words)
	} else {
		assert.Len(t, rest, len(first)-len(head))
	}
}

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

// A quarantined file is not at its place and not in the result of Walk, and its name
// is free.
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

// Walk returns the files that are named like images, in all folders but hidden ones.
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
		".previews/2026/11/20/x-" + fileOf(1), "a/.hidden/x-" + fileOf(2), ".x-" + fileOf(3), resources.Quarantined + "/x-" + fileOf(4),
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
}

// Names may be long and have letters of all scripts.
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

// After ctx ends, a call may fail with its error, which does not blame the store.
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
