package catalogtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// changes reads all changes after a cursor, without the repeated ones.
func changes(t *testing.T, c resources.Catalog, process string, after resources.Cursor) (map[string]resources.State, resources.Cursor) {
	t.Helper()
	states := map[string]resources.State{}
	for {
		page, next, err := c.Changes(t.Context(), process, after)
		require.NoError(t, err)
		before := len(states)
		for _, change := range page {
			assert.Equal(t, owner, change.Owner)
			states[change.ID] = change.State
		}
		if len(states) == before {
			return states, next
		}
		after = next
	}
}

// Changes returns what other processes and commands changed after the cursor.
func testChanges(t *testing.T, open func() resources.Catalog) {
	c := open()
	reserve(t, c, alive(one))
	states, cursor := changes(t, c, two, "")
	assert.Empty(t, states, "the zero cursor is the current end")
	require.NotEmpty(t, cursor)
	states, cursor = changes(t, c, two, cursor)
	assert.Empty(t, states)

	i, own := reserve(t, c, alive(one)), reserve(t, c, alive(two))
	i.State = resources.Polling
	require.NoError(t, c.Record(t.Context(), i, resources.Guard{From: resources.Submitted, Lease: alive(one)}))
	states, next := changes(t, c, two, cursor)
	assert.Equal(t, map[string]resources.State{i.ID: resources.Polling}, states)
	states, _ = changes(t, c, one, cursor)
	assert.Equal(t, map[string]resources.State{own.ID: resources.Submitted}, states)
	cursor = next

	i.State = resources.Saved
	require.NoError(t, c.Record(t.Context(), i, resources.Guard{Lease: alive(one)}))
	states, next = changes(t, c, two, cursor)
	assert.Equal(t, map[string]resources.State{i.ID: resources.Saved}, states)
	cursor = next

	late := reserve(t, c, dead(two))
	claim(t, c, resources.Claim{Lease: alive(one), ID: late.ID})
	_, err := c.Remove(t.Context(), owner, i.ID)
	require.NoError(t, err)
	states, _ = changes(t, open(), two, cursor)
	assert.Equal(t, map[string]resources.State{i.ID: resources.Removed, late.ID: resources.Submitted}, states)
}

// Changes that one statement made are read completely, in pages.
func testChangesPages(t *testing.T, open func() resources.Catalog) {
	c := open()
	_, cursor := changes(t, c, two, "")
	var rows []resources.Row
	for range 1200 {
		i := call(dead(one)).Images[0]
		i.State, i.CreatedAt = resources.Submitted, time.Now()
		rows = append(rows, resources.Row{Image: i})
	}
	added, err := c.Insert(t.Context(), rows...)
	require.NoError(t, err)
	require.Equal(t, len(rows), added)
	states, cursor := changes(t, c, two, cursor)
	assert.Len(t, states, len(rows))
	require.Len(t, claim(t, c, resources.Claim{Lease: alive(one)}), len(rows))
	states, _ = changes(t, c, two, cursor)
	assert.Len(t, states, len(rows))
	i := reserve(t, open(), alive(two))
	list, _, err := c.Changes(t.Context(), one, cursor)
	require.NoError(t, err)
	assert.Equal(t, []resources.Change{{ID: i.ID, Owner: i.Owner, State: i.State}}, list, "many changes of its own do not hide those of others")
}

// Watch calls back after another process has changed a row, and returns when its
// context ends.
func testWatch(t *testing.T, open func() resources.Catalog) {
	c, other := open(), open()
	require.NoError(t, c.Ready(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	called, ended := make(chan struct{}, 1), make(chan error)
	go func() {
		ended <- c.Watch(ctx, func() {
			select {
			case called <- struct{}{}:
			default:
			}
		})
	}()
	_, cursor := changes(t, c, one, "")
	// Watch may not have begun to listen when the first row is written.
	require.Eventually(t, func() bool {
		reserve(t, other, alive(two))
		select {
		case <-called:
			return true
		case <-time.After(time.Second):
			return false
		}
	}, 20*time.Second, time.Millisecond)
	states, _ := changes(t, c, one, cursor)
	assert.NotEmpty(t, states)
	cancel()
	assert.NoError(t, <-ended)
}
