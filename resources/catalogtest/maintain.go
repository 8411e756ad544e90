package catalogtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Scan and Count read the images of all owners, page by page.
func testScan(t *testing.T, open func() resources.Catalog) {
	c := open()
	const images = 1100
	var rows []resources.Row
	for n := range images {
		i := call(resources.Lease{}).Images[0]
		i.State, i.CreatedAt = resources.Saved, time.Now()
		if n%2 == 1 {
			i.State, i.Owner = resources.Lost, "another"
		}
		rows = append(rows, resources.Row{Image: i})
	}
	_, err := c.Insert(t.Context(), rows...)
	require.NoError(t, err)
	for _, tt := range []struct {
		states []resources.State
		want   int
	}{{[]resources.State{resources.Saved}, images / 2}, {[]resources.State{resources.Saved, resources.Lost}, images}, {[]resources.State{resources.Queued}, 0}} {
		n, err := c.Count(t.Context(), tt.states...)
		require.NoError(t, err)
		assert.Equal(t, tt.want, n)
		last, scanned := "", 0
		for {
			page, err := c.Scan(t.Context(), last, tt.states...)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				assert.Greater(t, r.ID, last)
				last = r.ID
			}
			scanned += len(page)
		}
		assert.Equal(t, tt.want, scanned)
	}
}

// Insert copies rows as they are, without their leases, and leaves out those that
// exist.
func testInsert(t *testing.T, open func() resources.Catalog) {
	from, to := open(), open()
	created := time.Now().UTC().Add(-time.Hour).Truncate(time.Millisecond)
	source := resources.Row{
		Image: resources.Image{
			ID: newID(), CallID: "call", Owner: "alice", State: resources.FetchFailed, CreatedAt: created, Model: "m", Prompt: "ein Fuchs, 狐狸", Size: "1x2",
			Quality: "hd", UserID: "user", CostMicroUSD: 1, Charged: true, UpstreamURL: "https://images.example/x.png", RequestID: "r", LogID: "l", TaskID: "t",
			ContentFilter: []resources.ContentFilter{{Role: "assistant", Level: 3}}, MIMEType: "image/png", Width: 1, Height: 2, Bytes: 3, SHA256: "00", Marks: []string{"XMP", "C2PA"},
			Failure: &resources.Failure{Kind: resources.KindDownload}, UpstreamAnswer: "{}", Delivered: true,
		},
		UpdatedAt: created.Add(time.Minute), LeaseUntil: created.Add(2 * time.Hour), LeaseAlive: true, JoinKey: "k", FailedAt: created.Add(time.Second),
	}
	added, err := from.Insert(t.Context(), source)
	require.NoError(t, err)
	assert.Equal(t, 1, added)
	got := row(t, to, source.ID)
	want := source
	want.LeaseAlive = false
	assert.Equal(t, want, got)
	assert.Empty(t, claim(t, to, resources.Claim{Lease: alive(one)}), "it is retried when it was due")
	assert.Equal(t, []string{source.ID}, claim(t, to, resources.Claim{Lease: alive(one), Early: true}))

	changed := source
	changed.Prompt = "other"
	another := source
	another.ID = newID()
	added, err = from.Insert(t.Context(), changed, another)
	require.NoError(t, err)
	assert.Equal(t, 1, added)
	assert.Equal(t, source.Prompt, row(t, to, source.ID).Prompt)
	added, err = from.Insert(t.Context())
	require.NoError(t, err)
	assert.Zero(t, added)
}

// Move records a new name if the image still has the old one.
func testMove(t *testing.T, open func() resources.Catalog) {
	c := open()
	i := insert(t, c, func(r *resources.Row) { r.Path = "a.png" })
	require.NoError(t, c.Move(t.Context(), i.ID, "b.png", "c.png"))
	assert.Equal(t, "a.png", row(t, c, i.ID).Path)
	require.NoError(t, c.Move(t.Context(), i.ID, "a.png", "c.png"))
	i.Path = "c.png"
	assert.Equal(t, i, row(t, c, i.ID).Image)
}

// Reset changes a saved image to FetchFailed, or to Lost if it has no link.
func testReset(t *testing.T, open func() resources.Catalog) {
	c := open()
	retry, lost := resources.Failure{Kind: resources.KindStorage, Message: "retry"}, resources.Failure{Kind: resources.KindStorage, Message: "lost"}
	for link, want := range map[string]struct {
		state   resources.State
		failure resources.Failure
	}{"https://images.example/x.png": {resources.FetchFailed, retry}, "": {resources.Lost, lost}} {
		i := insert(t, c, func(r *resources.Row) { r.Path, r.UpstreamURL = "a.png", link })
		require.NoError(t, c.Reset(t.Context(), i.ID, "b.png", retry, lost))
		assert.Equal(t, i, row(t, c, i.ID).Image, "it has another file by now")
		require.NoError(t, c.Reset(t.Context(), i.ID, "a.png", retry, lost))
		i.State, i.Failure, i.Path = want.state, &want.failure, ""
		assert.Equal(t, i, row(t, c, i.ID).Image)
	}
	assert.Len(t, claim(t, c, resources.Claim{Lease: alive(one)}), 1, "it is downloaded again at once")
	unsaved := insert(t, c, func(r *resources.Row) { r.State, r.Path = resources.Unknown, "a.png" })
	require.NoError(t, c.Reset(t.Context(), unsaved.ID, "a.png", retry, lost))
	assert.Equal(t, unsaved, row(t, c, unsaved.ID).Image)
}

// GiveUp makes sandbox images whose process died free of charge, and no others.
func testGiveUp(t *testing.T, open func() resources.Catalog) {
	c := open()
	failure := resources.Failure{Kind: resources.KindCancelled, Message: "ended"}
	for _, state := range resources.States() {
		for _, sandbox := range []bool{true, false} {
			i := insert(t, c, func(r *resources.Row) { r.State, r.Sandbox = state, sandbox })
			require.NoError(t, c.GiveUp(t.Context(), i.ID, failure))
			if sandbox && state.Working() {
				i.State, i.Charged, i.Failure = resources.Failed, false, &failure
			}
			assert.Equal(t, i, row(t, c, i.ID).Image, "%s, sandbox %t", state, sandbox)
		}
	}
	lease := alive(one)
	lease.Sandbox = true
	busy := reserve(t, c, lease)
	require.NoError(t, c.GiveUp(t.Context(), busy.ID, failure))
	assert.Equal(t, busy, row(t, c, busy.ID).Image)
}

// Remove clears what tells about the image, but its cost still counts.
func testRemove(t *testing.T, open func() resources.Catalog) {
	c := open()
	i := reserve(t, c, alive(one))
	i.State, i.Path, i.UpstreamURL, i.UpstreamAnswer = resources.Saved, "a.png", "https://images.example/x.png", `{"echo":"a fox"}`
	record(t, c, i)
	_, err := c.Remove(t.Context(), "another", i.ID)
	require.ErrorIs(t, err, resources.ErrNotFound)
	_, err = c.Remove(t.Context(), owner, newID())
	require.ErrorIs(t, err, resources.ErrNotFound)
	path, err := c.Remove(t.Context(), owner, i.ID)
	require.NoError(t, err)
	assert.Equal(t, "a.png", path)
	i.State, i.Prompt, i.Path, i.UpstreamURL, i.UpstreamAnswer = resources.Removed, "", "", "", ""
	assert.Equal(t, i, row(t, c, i.ID).Image)
	path, err = c.Remove(t.Context(), owner, i.ID)
	require.NoError(t, err)
	assert.Empty(t, path)
	for _, query := range []string{"", "fox"} {
		page, err := c.Page(t.Context(), owner, resources.Saved, query, "", 10)
		require.NoError(t, err)
		assert.Empty(t, page)
	}
	spent, err := c.SpentToday(t.Context(), owner, false)
	require.NoError(t, err)
	assert.Equal(t, i.CostMicroUSD, spent)
}

// A setting keeps its first value until it is set.
func testSettings(t *testing.T, open func() resources.Catalog) {
	c := open()
	binary := []byte("\x00\xff'key")
	for _, initial := range [][]byte{binary, []byte("other")} {
		value, err := open().Setting(t.Context(), "key", initial)
		require.NoError(t, err)
		assert.Equal(t, binary, value)
	}
	require.NoError(t, c.SetSetting(t.Context(), "key", []byte("new")))
	require.NoError(t, c.SetSetting(t.Context(), "another", []byte("value")))
	value, err := c.Setting(t.Context(), "key", binary)
	require.NoError(t, err)
	assert.Equal(t, "new", string(value))
}

// A new catalog is usable at once, and a closed one reports an error of storage.
func testHealth(t *testing.T, open func() resources.Catalog) {
	c := open()
	assert.NotEmpty(t, c.Name())
	require.NoError(t, c.Ready(t.Context()))
	assert.True(t, c.Exists())
	require.NoError(t, c.Ping(t.Context()))
	require.NoError(t, c.Writable(t.Context()))
	reserve(t, c, alive(one))
	defect, err := c.Verify(t.Context())
	require.NoError(t, err)
	assert.Empty(t, defect)
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.Ready(t.Context()), resources.ErrStorage)
	_, err = c.Row(t.Context(), newID())
	require.ErrorIs(t, err, resources.ErrStorage)
	_, err = c.Reserve(t.Context(), call(alive(one)))
	require.ErrorIs(t, err, resources.ErrStorage)
}
