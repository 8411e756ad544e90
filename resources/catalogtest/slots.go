package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// limited describes a call for one image with a limit of requests in flight.
func limited(limit int, lease resources.Lease) resources.Reservation {
	r := call(lease)
	r.Slots, r.Client = resources.Slots{Key: "key", Limit: limit}, "client"
	return r
}

// grant calls Grant for the model of call.
func grant(t *testing.T, c resources.Catalog, limit int, lease resources.Lease) resources.Grant {
	t.Helper()
	g, err := c.Grant(t.Context(), "m", resources.Slots{Key: "key", Limit: limit}, lease)
	require.NoError(t, err)
	return g
}

// Reserve gives free slots, later images are queued, and Grant gives them the slots of
// finished ones.
func testSlots(t *testing.T, open func() resources.Catalog) {
	c := open()
	lease := alive(one)
	r := callFor(3, lease)
	r.Slots, r.Client = resources.Slots{Key: "key", Limit: 2}, "client"
	outcome, err := c.Reserve(t.Context(), r)
	require.NoError(t, err)
	var states []resources.State
	for _, i := range outcome.New {
		assert.Equal(t, i, row(t, c, i.ID).Image)
		states = append(states, i.State)
	}
	assert.Equal(t, []resources.State{resources.Submitted, resources.Submitted, resources.Queued}, states)
	first, second, third := outcome.New[0], outcome.New[1], outcome.New[2]
	assert.Equal(t, resources.Grant{Ahead: map[string]int{third.ID: 0}}, grant(t, c, 2, lease))
	fourth := reserveCall(t, c, limited(2, lease))
	assert.Equal(t, resources.Queued, fourth.State)
	assert.Equal(t, map[string]int{third.ID: 0, fourth.ID: 1}, grant(t, c, 2, lease).Ahead)

	first.State, first.TaskID = resources.Polling, "task"
	record(t, c, first)
	assert.Empty(t, grant(t, c, 2, lease).Granted, "the task is in flight")
	first.State = resources.Answered
	record(t, c, first)
	g := grant(t, c, 2, lease)
	assert.Equal(t, []string{third.ID}, g.Granted)
	assert.Equal(t, map[string]int{fourth.ID: 0}, g.Ahead)
	third.State = resources.Submitted
	assert.Equal(t, third, row(t, c, third.ID).Image)
	second.State, second.Charged = resources.Failed, false
	record(t, c, second)
	assert.Equal(t, []string{fourth.ID}, grant(t, c, 2, lease).Granted)

	other := limited(1, lease)
	other.Images[0].Model = "another model"
	assert.Equal(t, resources.Submitted, reserveCall(t, c, other).State, "each model has its slots")
	other = limited(1, lease)
	other.Slots.Key = "another key"
	assert.Equal(t, resources.Submitted, reserveCall(t, c, other).State, "each key has its slots")
	assert.Equal(t, resources.Submitted, reserveCall(t, c, call(lease)).State, "without a limit")
}

// Several processes never have more requests in flight than the limit, and use all
// slots.
func testSlotsConcurrent(t *testing.T, open func() resources.Catalog) {
	const processes, each, limit = 4, 6, 2
	var (
		all  sync.WaitGroup
		done atomic.Int64
	)
	for n := range processes {
		c, lease := open(), alive(fmt.Sprint("the process ", n))
		all.Go(func() {
			ctx := context.Background()
			waiting := map[string]resources.Image{}
			run := func(i resources.Image) {
				n, err := c.Count(ctx, resources.Submitted, resources.Polling)
				assert.LessOrEqual(t, n, limit)
				done.Add(1)
				i.State = resources.Answered
				if err = errors.Join(err, c.Record(ctx, i, resources.Guard{From: resources.Submitted, Lease: lease})); err != nil {
					t.Error(err)
				}
			}
			for range each {
				outcome, err := c.Reserve(ctx, limited(limit, lease))
				if err != nil {
					t.Error(err)
					return
				}
				if i := outcome.New[0]; i.State == resources.Submitted {
					run(i)
				} else {
					waiting[i.ID] = i
				}
			}
			for len(waiting) > 0 {
				g, err := c.Grant(ctx, "m", resources.Slots{Key: "key", Limit: limit}, lease)
				if err != nil {
					t.Error(err)
					return
				}
				for _, id := range g.Granted {
					i := waiting[id]
					delete(waiting, id)
					run(i)
				}
			}
		})
	}
	all.Wait()
	assert.Equal(t, int64(processes*each), done.Load())
}

// A reservation leaves free slots to images that wait, also those of its own process: only
// Grant reports which of them got one.
func testSlotsOfWaitingImages(t *testing.T, open func() resources.Catalog) {
	c := open()
	lease := alive(one)
	first, second := reserveCall(t, c, limited(1, lease)), reserveCall(t, c, limited(1, lease))
	require.Equal(t, resources.Submitted, first.State)
	require.Equal(t, resources.Queued, second.State)
	first.State = resources.Answered
	require.NoError(t, c.Record(t.Context(), first, resources.Guard{From: resources.Submitted, Lease: lease}))
	third := reserveCall(t, c, limited(1, lease))
	assert.Equal(t, resources.Queued, third.State)
	row, err := c.Row(t.Context(), second.ID)
	require.NoError(t, err)
	assert.Equal(t, resources.Queued, row.State)
	assert.Equal(t, []string{second.ID}, grant(t, c, 1, lease).Granted)
}

// A queued image leaves the queue when another process claims it, which sends no request
// for it.
func testSlotsOfClaimedImages(t *testing.T, open func() resources.Catalog) {
	c := open()
	reserveCall(t, c, limited(1, alive(one)))
	second := reserveCall(t, c, limited(1, dead(two)))
	require.Equal(t, resources.Queued, second.State)
	require.Len(t, claim(t, c, resources.Claim{Lease: alive(one), ID: second.ID}), 1)
	g := grant(t, c, 2, alive(one))
	assert.Empty(t, g.Granted)
	assert.Empty(t, g.Ahead)
	assert.Equal(t, resources.Queued, row(t, c, second.ID).State)
}

// Owners take turns, and so do the clients of an owner; a client's images keep their
// order.
func testSlotsInTurn(t *testing.T, open func() resources.Catalog) {
	c := open()
	lease := alive(one)
	names := map[string]string{}
	queue := func(owner, client, name string) resources.Image {
		r := limited(1, lease)
		r.Images[0].Owner, r.Client = owner, client
		i := reserveCall(t, c, r)
		names[i.ID] = name
		return i
	}
	current := queue("a", "x", "ax0")
	require.Equal(t, resources.Submitted, current.State)
	images := map[string]resources.Image{}
	for _, w := range [][3]string{
		{"a", "x", "ax1"}, {"a", "x", "ax2"}, {"a", "x", "ax3"}, {"a", "y", "ay1"}, {"b", "x", "bx1"}, {"b", "x", "bx2"}, {"c", "", "c1"},
	} {
		i := queue(w[0], w[1], w[2])
		require.Equal(t, resources.Queued, i.State)
		images[i.ID] = i
	}
	want := []string{"bx1", "c1", "ay1", "bx2", "ax1", "ax2", "ax3"}
	ahead := map[string]int{}
	for n, name := range want {
		ahead[name] = n
	}
	for id, n := range grant(t, c, 1, lease).Ahead {
		assert.Equal(t, ahead[names[id]], n, names[id])
	}
	var got []string
	for range want {
		current.State = resources.Answered
		record(t, c, current)
		g := grant(t, c, 1, lease)
		require.Len(t, g.Granted, 1)
		got = append(got, names[g.Granted[0]])
		current = images[g.Granted[0]]
	}
	assert.Equal(t, want, got)

	current.State = resources.Answered
	record(t, c, current)
	assert.Equal(t, resources.Submitted, queue("d", "", "d1").State)
	waiting := queue("d", "", "d2")
	assert.Equal(t, resources.Queued, waiting.State)
	current = queue("e", "", "e1")
	assert.Equal(t, 0, grant(t, c, 1, lease).Ahead[current.ID], "the owner without a slot is first")
}

// An image of another process keeps its turn, unless that process is dead. Only its
// own process changes it.
func testSlotsOfOtherProcesses(t *testing.T, open func() resources.Catalog) {
	c := open()
	first := reserveCall(t, c, limited(1, alive(one)))
	reserveOther := limited(1, alive(two))
	reserveOther.Client = "another client"
	other := reserveCall(t, c, reserveOther)
	reserveMine := limited(1, alive(one))
	reserveMine.Client = "a third client"
	mine := reserveCall(t, c, reserveMine)
	first.State = resources.Answered
	record(t, c, first)
	for range 2 {
		g := grant(t, c, 1, alive(one))
		assert.Empty(t, g.Granted, "the other image is first, and its client keeps its turn")
		assert.Equal(t, map[string]int{mine.ID: 1}, g.Ahead)
	}
	assert.Equal(t, resources.Queued, reserveCall(t, c, limited(1, alive(three))).State, "a new image does not pass those that wait")
	require.NoError(t, c.Renew(t.Context(), dead(two), []string{other.ID}, nil))
	assert.Equal(t, []string{mine.ID}, grant(t, c, 1, alive(one)).Granted, "the other process is dead")
	mine.State = resources.Answered
	record(t, c, mine)
	assert.Equal(t, []string{other.ID}, grant(t, c, 1, alive(two)).Granted, "it lives after all")
	assert.True(t, row(t, c, other.ID).LeaseAlive, "the lease is renewed")
}

// An image that is queued again keeps its slot as long as its process renews the lease.
func testSlotsKept(t *testing.T, open func() resources.Catalog) {
	c := open()
	lease := alive(one)
	i := reserveCall(t, c, limited(1, lease))
	i.State = resources.Queued
	require.NoError(t, c.Record(t.Context(), i, resources.Guard{From: resources.Submitted, Lease: lease}))
	waiting := reserveCall(t, c, limited(1, alive(two)))
	assert.Equal(t, resources.Queued, waiting.State)
	g := grant(t, c, 1, lease)
	assert.Empty(t, g.Granted)
	assert.Empty(t, g.Ahead, "it does not wait for a slot")
	assert.Empty(t, grant(t, c, 1, alive(two)).Granted)
	i.State = resources.Submitted
	require.NoError(t, c.Record(t.Context(), i, resources.Guard{From: resources.Queued, Lease: lease}))

	i.State = resources.Queued
	require.NoError(t, c.Record(t.Context(), i, resources.Guard{From: resources.Submitted, Lease: dead(one)}))
	assert.Equal(t, []string{waiting.ID}, grant(t, c, 1, alive(two)).Granted, "the process is dead")
	i.State = resources.Submitted
	require.ErrorIs(t, c.Record(t.Context(), i, resources.Guard{From: resources.Queued, Lease: lease}), resources.ErrSettled,
		"after the lease has ended the slot belongs to another image")
}

// The request of a dead process counts as in flight until its image is claimed. A
// claimed task has a slot, even beyond the limit.
func testSlotsOfClaimedTasks(t *testing.T, open func() resources.Catalog) {
	c := open()
	i := reserveCall(t, c, limited(1, dead(one)))
	assert.Equal(t, resources.Queued, reserveCall(t, c, limited(1, alive(two))).State)
	i.State, i.TaskID, i.Failure = resources.PollFailed, "task", &resources.Failure{Kind: resources.KindOutcomeUnknown}
	record(t, c, i)
	require.Len(t, grant(t, c, 1, alive(two)).Granted, 1, "polling it later needs a new slot")
	third := reserveCall(t, c, limited(2, alive(three)))
	require.Equal(t, resources.Submitted, third.State)
	assert.Equal(t, []string{i.ID}, claim(t, c, resources.Claim{Lease: alive(four), ID: i.ID}))
	third.State = resources.Answered
	record(t, c, third)
	assert.Equal(t, resources.Queued, reserveCall(t, c, limited(2, alive(three))).State, "the claimed task has a slot")
}
