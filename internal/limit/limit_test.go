package limit_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/limit"
)

// A quota refuses what exceeds the total or a client's share, until enough is
// released.
func TestQuota(t *testing.T) {
	q := limit.NewQuota(10, 6)
	alice, ok := q.Take("alice", 6)
	require.True(t, ok)
	_, ok = q.Take("alice", 1)
	assert.False(t, ok, "beyond the client's share")
	bob, ok := q.Take("bob", 4)
	require.True(t, ok)
	_, ok = q.Take("carol", 1)
	assert.False(t, ok, "beyond the total")
	assert.Equal(t, 10, q.Used())
	alice()
	_, ok = q.Take("bob", 3)
	assert.False(t, ok, "beyond the client's share")
	again, ok := q.Take("alice", 6)
	require.True(t, ok)
	again()
	bob()
	assert.Zero(t, q.Used())
}

// A queue lets callers wait. A client at its own bound does not hold up others.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := limit.NewQueue(3, 2)
		first, err := q.Acquire(t.Context(), "alice")
		require.NoError(t, err)
		_, err = q.Acquire(t.Context(), "alice")
		require.NoError(t, err)
		got := make(chan func(), 1)
		go func() {
			release, err := q.Acquire(t.Context(), "alice")
			assert.NoError(t, err)
			got <- release
		}()
		synctest.Wait()
		assert.Empty(t, got, "the third of one client waits")
		bob, err := q.Acquire(t.Context(), "bob")
		require.NoError(t, err, "and takes no place of others")
		first()
		synctest.Wait()
		require.Len(t, got, 1)
		(<-got)()
		bob()
	})
}

// A caller that no longer wants its place gets the error of its context, and
// leaves nothing behind.
func TestQueue_Cancel(t *testing.T) {
	for name, waits := range map[string]string{"for its own bound": "alice", "for the total": "bob"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := limit.NewQueue(1, 1)
				release, err := q.Acquire(t.Context(), "alice")
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				failed := make(chan error, 1)
				go func() {
					_, err := q.Acquire(ctx, waits)
					failed <- err
				}()
				synctest.Wait()
				cancel()
				require.ErrorIs(t, <-failed, context.Canceled)
				release()
				release, err = q.Acquire(t.Context(), waits)
				require.NoError(t, err)
				release()
			})
		})
	}
}

// Clip cuts between characters and marks the cut.
func TestClip(t *testing.T) {
	assert.Equal(t, "short", limit.Clip("short"))
	clipped := limit.Clip(strings.Repeat("é", limit.MaxName))
	assert.True(t, utf8.ValidString(clipped))
	assert.True(t, strings.HasSuffix(clipped, "é…"))
	assert.LessOrEqual(t, len(clipped), limit.MaxName+len("…"))
	assert.Len(t, limit.ClipURI(strings.Repeat("x", 1000)), limit.MaxURI+len("…"))
}
