package catalogtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// combination is a state with the columns that said more about it in older catalogs.
type combination struct {
	state                        resources.State
	link, task, failure, charged bool
}

func (c combination) String() string {
	return fmt.Sprintf("%s, link %t, task %t, failure %t, charged %t", c.state, c.link, c.task, c.failure, c.charged)
}

// insertCombination adds an image with its own join key, its id.
func insertCombination(t *testing.T, c resources.Catalog, k combination) resources.Image {
	t.Helper()
	return insert(t, c, func(r *resources.Row) {
		r.State, r.Charged, r.JoinKey = k.state, k.charged, r.ID
		if k.link {
			r.UpstreamURL = "https://images.example/x.png"
		}
		if k.task {
			r.TaskID = "task"
		}
		if k.failure {
			r.Failure, r.FailedAt = &resources.Failure{Kind: resources.KindDownload}, time.Now()
		}
	})
}

// The statements agree with the predicates of State, whatever else the row has.
func testStatePredicates(t *testing.T, open func() resources.Catalog) {
	c := open()
	images := map[string]combination{}
	for _, state := range resources.States() {
		for flags := range 16 {
			k := combination{state, flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0}
			images[insertCombination(t, c, k).ID] = k
		}
	}
	scanned := map[string]bool{}
	page, err := c.Scan(t.Context(), "", resources.StatesThat(resources.State.Final)...)
	require.NoError(t, err)
	for _, r := range page {
		scanned[r.ID] = true
	}
	for id, k := range images {
		outcome, err := c.Reserve(t.Context(), equal(id, alive(two)))
		require.NoError(t, err)
		assert.Equal(t, k.state.Joinable(), len(outcome.Joined) == 1, "joined: %v", k)
		assert.Equal(t, k.state.Final(), scanned[id], "scanned: %v", k)
	}
	claimed := map[string]resources.Image{}
	list, err := c.Claim(t.Context(), resources.Claim{Lease: alive(three)})
	require.NoError(t, err)
	for _, i := range list {
		claimed[i.ID] = i
	}
	next := map[resources.State]resources.State{resources.PollFailed: resources.Polling, resources.FetchFailed: resources.Answered}
	for id, k := range images {
		i, ok := claimed[id]
		assert.Equal(t, k.state.Recoverable(), ok, "claimed: %v", k)
		if !ok {
			continue
		}
		want := k.state
		if to, ok := next[k.state]; ok {
			want = to
		}
		assert.Equal(t, want, i.State, "claimed: %v", k)
		assert.Nil(t, i.Failure, "claimed: %v", k)
	}
}

// Record changes a row from one state to another exactly if CanBecome allows it.
func testTransitions(t *testing.T, open func() resources.Catalog) {
	c := open()
	for _, from := range resources.States() {
		for _, to := range resources.States() {
			i := insert(t, c, func(r *resources.Row) { r.State = from })
			i.State, i.RequestID = to, "new"
			err := c.Record(t.Context(), i, resources.Guard{})
			got := row(t, c, i.ID)
			if from.CanBecome(to) {
				require.NoError(t, err, "%s -> %s", from, to)
				assert.Equal(t, i, got.Image, "%s -> %s", from, to)
				continue
			}
			require.ErrorIs(t, err, resources.ErrSettled, "%s -> %s", from, to)
			assert.Equal(t, []any{from, ""}, []any{got.State, got.RequestID}, "%s -> %s", from, to)
		}
	}
	i := insert(t, c, func(r *resources.Row) { r.State, r.UpstreamURL = resources.Answered, "https://images.example/x.png" })
	late := i
	late.State, late.UpstreamURL = resources.Unknown, ""
	require.ErrorIs(t, c.Record(t.Context(), late, resources.Guard{}), resources.ErrSettled, "the image can be downloaded")
	assert.Equal(t, i, row(t, c, i.ID).Image)
}

// Record writes every column that changes while an image is being made, and nothing
// else.
func testRecord(t *testing.T, open func() resources.Catalog) {
	c := open()
	before := reserve(t, c, alive(one))
	i := before
	i.State, i.Charged = resources.FetchFailed, false
	i.UpstreamURL, i.TaskID, i.RequestID, i.LogID = "https://images.example/x.png", "task", "request", "log"
	i.ContentFilter = []resources.ContentFilter{{Role: "user", Level: 2}}
	i.Path, i.MIMEType, i.Width, i.Height, i.Bytes, i.SHA256 = "a.png", "image/png", 3, 2, 1<<40, "00ff"
	i.Failure = &resources.Failure{Kind: resources.KindUpstream, Message: "It said “no”.", Hint: "Wait.", Retryable: true}
	i.UpstreamAnswer = "<html>\x01"
	record(t, c, i)
	got := row(t, open(), i.ID)
	assert.Equal(t, i, got.Image)
	assert.False(t, got.FailedAt.IsZero())
	assert.True(t, got.LeaseAlive, "the lease stays")
	first := got.FailedAt

	i.Failure, i.ContentFilter, i.Marks = nil, nil, []string{}
	record(t, c, i)
	assert.Equal(t, i.Marks, row(t, c, i.ID).Marks, "examined, without marks")
	i.Marks = []string{"XMP", "AIGC"}
	i.Failure = &resources.Failure{Kind: resources.KindUpstream}
	record(t, c, i)
	got = row(t, c, i.ID)
	assert.Equal(t, i, got.Image)
	assert.Equal(t, first, got.FailedAt, "it is the time of the first failure")

	i.Prompt, i.Owner, i.Model, i.CostMicroUSD, i.CreatedAt = "other", "other", "other", 1, time.Now().Add(time.Hour)
	record(t, c, i)
	got = row(t, c, i.ID)
	assert.Equal(t, []any{before.Prompt, before.Owner, before.Model, before.CostMicroUSD, before.CreatedAt},
		[]any{got.Prompt, got.Owner, got.Model, got.CostMicroUSD, got.CreatedAt}, "what was reserved does not change")
}

// With a guard, Record changes only a row that is in the state and leased to the
// process, and renews the lease.
func testRecordGuard(t *testing.T, open func() resources.Catalog) {
	c := open()
	i := reserve(t, c, alive(one))
	next := i
	next.State, next.TaskID = resources.Polling, "task"
	for name, guard := range map[string]resources.Guard{
		"another process": {From: resources.Submitted, Lease: alive(two)},
		"another state":   {From: resources.Queued, Lease: alive(one)},
	} {
		require.ErrorIs(t, c.Record(t.Context(), next, guard), resources.ErrSettled, name)
		assert.Equal(t, i, row(t, c, i.ID).Image, name)
	}
	renewed := resources.Lease{Process: one, For: 2 * time.Hour}
	before := row(t, c, i.ID).LeaseUntil
	require.NoError(t, c.Record(t.Context(), next, resources.Guard{From: resources.Submitted, Lease: renewed}))
	got := row(t, c, i.ID)
	assert.Equal(t, next, got.Image)
	assert.Greater(t, got.LeaseUntil.Sub(before), 50*time.Minute)

	next.State = resources.Answered
	require.NoError(t, c.Record(t.Context(), next, resources.Guard{Lease: dead(two)}), "without a state the lease does not matter")
	assert.Equal(t, got.LeaseUntil, row(t, c, i.ID).LeaseUntil)

	late := reserve(t, c, dead(three))
	late.State = resources.Polling
	require.NoError(t, c.Record(t.Context(), late, resources.Guard{From: resources.Submitted, Lease: alive(three)}),
		"a suspended process continues with a row that no other process has claimed")
	assert.True(t, row(t, c, late.ID).LeaseAlive)
}

// Record adds a row that is missing because the catalog was replaced.
func testRecordMissingRow(t *testing.T, open func() resources.Catalog) {
	c := open()
	i := call(alive(one)).Images[0]
	i.State, i.Charged, i.CreatedAt = resources.Answered, true, time.Now().UTC().Truncate(time.Millisecond)
	require.NoError(t, c.Record(t.Context(), i, resources.Guard{From: resources.Submitted, Lease: alive(one)}))
	got := row(t, c, i.ID)
	assert.Equal(t, i, got.Image)
	assert.True(t, got.LeaseAlive)
	list, err := c.Claim(t.Context(), resources.Claim{Lease: alive(two), Early: true})
	require.NoError(t, err)
	assert.Empty(t, list)
}
