package storetest

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

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
