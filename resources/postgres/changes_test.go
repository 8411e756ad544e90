package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// end returns the current end of the changes.
func end(t testing.TB, c resources.Catalog) resources.Cursor {
	t.Helper()
	list, cursor, err := c.Changes(t.Context(), "two", "")
	require.NoError(t, err)
	require.Empty(t, list)
	return cursor
}

// changed returns the ids of the changes after a cursor.
func changed(t testing.TB, c resources.Catalog, after resources.Cursor) ([]string, resources.Cursor) {
	t.Helper()
	list, next, err := c.Changes(t.Context(), "two", after)
	require.NoError(t, err)
	ids := []string{}
	for _, change := range list {
		ids = append(ids, change.ID)
	}
	return ids, next
}

// A transaction that ends after a later one is not missed, and nothing is returned twice.
func TestChanges_LateCommit(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	c := open(t, database)
	early, late := save(t, c, "ann", "a"), save(t, c, "ann", "b")
	cursor := end(t, c)
	const touch = `UPDATE images SET updated_by='one', changed=pg_current_xact_id()::text::bigint WHERE id=$1`
	conn := connect(t, database)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), touch, late.ID)
	require.NoError(t, err)
	testrig.PostgresExec(t, database, `UPDATE images SET updated_by='one', changed=pg_current_xact_id()::text::bigint WHERE id='`+early.ID+`'`)
	ids, cursor := changed(t, c, cursor)
	assert.Equal(t, []string{early.ID}, ids)
	ids, cursor = changed(t, c, cursor)
	assert.Empty(t, ids, "not twice")
	require.NoError(t, tx.Commit(t.Context()))
	ids, cursor = changed(t, c, cursor)
	assert.Equal(t, []string{late.ID}, ids)
	ids, _ = changed(t, c, cursor)
	assert.Empty(t, ids)
}

// Changes leaves out those of the caller, and returns many in several pages.
func TestChanges_Pages(t *testing.T) {
	t.Parallel()
	c := open(t, testrig.Postgres(t))
	require.NoError(t, c.Ready(t.Context()))
	cursor := end(t, c)
	rows := []resources.Row{}
	for n := range 1300 {
		rows = append(rows, resources.Row{Image: image("ann", fmt.Sprint(n))})
		rows[n].State = resources.Saved
	}
	for part := range slices.Chunk(rows, 700) {
		_, err := c.Insert(t.Context(), part...)
		require.NoError(t, err)
	}
	var all []string
	for {
		ids, next := changed(t, c, cursor)
		if cursor = next; len(ids) == 0 {
			break
		}
		assert.LessOrEqual(t, len(ids), 500)
		if len(all) == 0 { // a change in the middle of the pages
			save(t, c, "ann", "the last one")
		}
		all = append(all, ids...)
	}
	assert.Len(t, all, 1301)
	own, _, err := c.Changes(t.Context(), "one", cursor)
	require.NoError(t, err)
	assert.Empty(t, own)
}

// After a restore into another cluster, the numbers of transactions start again.
func TestChanges_OtherDatabase(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	c := open(t, database)
	i := save(t, c, "ann", "a")
	save(t, c, "ann", "from the old cluster")
	testrig.PostgresExec(t, database, `UPDATE images SET changed=changed + 1000000000000 WHERE id <> '`+i.ID+`'`)
	ids, cursor := changed(t, c, "999999999999:999999999999:")
	assert.Equal(t, []string{i.ID}, ids, "the latest transactions")
	ids, _ = changed(t, c, cursor)
	assert.Empty(t, ids)
	_, _, err := c.Changes(t.Context(), "two", "rubbish")
	require.ErrorIs(t, err, resources.ErrStorage)
}

// A process hears of the changes of others, and finds those that it missed while its
// connection was cut.
func TestWatch(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	p := newProxy(t, database)
	listener, writer := open(t, p.URL), open(t, database)
	require.NoError(t, listener.Ready(t.Context()))
	heard := make(chan struct{}, 1000)
	watch := func() <-chan error {
		ended := make(chan error, 1)
		go func() { ended <- listener.Watch(t.Context(), func() { heard <- struct{}{} }) }()
		return ended
	}
	ended := watch()
	<-heard // it listens
	cursor := end(t, listener)
	begun := time.Now()
	i := save(t, writer, "ann", "a")
	<-heard
	t.Logf("heard after %v", time.Since(begun))
	ids, cursor := changed(t, listener, cursor)
	assert.Equal(t, []string{i.ID}, ids)

	p.cut()
	require.ErrorIs(t, <-ended, resources.ErrStorage)
	missed := save(t, writer, "ann", "b")
	ids, _ = changed(t, listener, cursor)
	assert.Equal(t, []string{missed.ID}, ids)
	for len(heard) > 0 {
		<-heard
	}
	watch()
	<-heard // Watch reports possible changes when it begins

	// Renewing a lease is no change.
	require.NoError(t, writer.Renew(t.Context(), lease("one"), []string{i.ID}, nil))
	save(t, writer, "ann", "c")
	<-heard
}

func TestWatch_Ends(t *testing.T) {
	t.Parallel()
	c := open(t, testrig.Postgres(t))
	require.NoError(t, c.Ready(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, c.Watch(ctx, cancel))
}
