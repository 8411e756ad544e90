// Package storetest is the suite that every resources.Store passes.
package storetest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
		{"List", testList},
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

// The same content can be saved again. Another one replaces it or is refused.
// If the reader fails, Put returns its error, and the name refers to what it did
// before.
// Of several contents that are saved under one name, the name refers to a whole one.
// An open file can be read from any position.
// The version of a file is the same until its content changes.
// A file that is replaced while it is read has its old content or cannot be read.
// A quarantined file is not at its place and not in the result of Walk, and its name
// is free.
// Walk returns the files that are named like images, in all folders but hidden ones.
// Names may be long and have letters of all scripts.
// After ctx ends, a call may fail with its error, which does not blame the store.
