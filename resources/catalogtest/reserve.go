package catalogtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Reserve writes the images as they will be paid for.
func testReserve(t *testing.T, open func() resources.Catalog) {
	c := open()
	r := callFor(2, alive(one))
	outcome, err := c.Reserve(t.Context(), r)
	require.NoError(t, err)
	assert.Empty(t, outcome.Joined)
	require.Len(t, outcome.New, 2)
	for n, i := range outcome.New {
		assert.Equal(t, []any{r.Images[n].ID, r.Images[0].ID, resources.Submitted, true}, []any{i.ID, i.CallID, i.State, i.Charged})
		assert.WithinDuration(t, time.Now(), i.CreatedAt, time.Minute)
		got := row(t, open(), i.ID)
		assert.Equal(t, i, got.Image)
		assert.True(t, got.LeaseAlive)
		assert.WithinDuration(t, i.CreatedAt.Add(time.Hour), got.LeaseUntil, time.Second)
	}
	_, err = c.Reserve(t.Context(), r)
	require.Error(t, err, "the ids exist")
	outcome, err = c.Reserve(t.Context(), resources.Reservation{})
	require.NoError(t, err)
	assert.Empty(t, outcome)
}

// A budget applies to one owner, a cost that is no longer charged can be spent again,
// and the sandbox has a separate budget.
func testReserveBudget(t *testing.T, open func() resources.Catalog) {
	c := open()
	const budget = 25_000
	try := func(n int, change func(*resources.Image)) (resources.Outcome, error) {
		r := callFor(n, alive(one))
		for n := range r.Images {
			if change != nil {
				change(&r.Images[n])
			}
		}
		r.Budget = budget
		return c.Reserve(t.Context(), r)
	}
	outcome, err := try(3, nil)
	require.ErrorIs(t, err, resources.ErrBudget)
	require.Len(t, outcome.New, 2, "what the budget covers is reserved")
	outcome2, err := try(1, nil)
	require.ErrorIs(t, err, resources.ErrBudget)
	assert.Empty(t, outcome2.New)
	_, err = try(1, func(i *resources.Image) { i.CostMicroUSD = 0 })
	require.NoError(t, err, "an image without cost")
	_, err = try(1, func(i *resources.Image) { i.Owner = "another" })
	require.NoError(t, err, "each owner has a budget")
	_, err = try(1, func(i *resources.Image) { i.Sandbox = true })
	require.NoError(t, err, "the sandbox has its own budget")

	failed := outcome.New[0]
	failed.State, failed.Charged = resources.Failed, false
	record(t, c, failed)
	_, err = try(1, nil)
	require.NoError(t, err, "the cost of a failed image can be spent again")
	spent, err := c.SpentToday(t.Context(), owner, false)
	require.NoError(t, err)
	assert.Equal(t, int64(20_000), spent)
}

// A budget is exact while several processes reserve images. The control reads the
// spending before it reserves, as a catalog without a lock would, and overspends.
func testReserveBudgetConcurrent(t *testing.T, open func() resources.Catalog) {
	const processes, each, budget, want = 4, 10, 150_000, 15
	var (
		mu      sync.Mutex
		taken   int
		refused int
		all     sync.WaitGroup
	)
	for range processes {
		c := open()
		for range each {
			all.Go(func() {
				r := call(alive(one))
				r.Budget = budget
				_, err := c.Reserve(context.Background(), r)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					taken++
				case errors.Is(err, resources.ErrBudget):
					refused++
				default:
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	assert.Equal(t, []int{want, processes*each - want}, []int{taken, refused})
	c := open()
	spent, err := c.SpentToday(t.Context(), owner, false)
	require.NoError(t, err)
	assert.Equal(t, int64(budget), spent)

	const unlocked = "without a lock"
	var haveRead sync.WaitGroup
	haveRead.Add(2)
	for range 2 {
		all.Go(func() {
			r := call(alive(one))
			r.Images[0].Owner = unlocked
			spent, err := c.SpentToday(context.Background(), unlocked, false)
			haveRead.Done()
			haveRead.Wait()
			if err == nil && spent+r.Images[0].CostMicroUSD <= 10_000 {
				_, err = c.Reserve(context.Background(), r)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	spent, err = c.SpentToday(t.Context(), unlocked, false)
	require.NoError(t, err)
	assert.Equal(t, int64(20_000), spent, "control")
}

// Equal calls of several processes at the same time get the same image.
func testJoinConcurrent(t *testing.T, open func() resources.Catalog) {
	var (
		mu      sync.Mutex
		all     sync.WaitGroup
		created []string
		joined  = map[string]int{}
	)
	const processes, each = 4, 10
	for range processes {
		c := open()
		for range each {
			all.Go(func() {
				outcome, err := c.Reserve(context.Background(), equal("k", alive(one)))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				created = append(created, ids(outcome.New)...)
				for _, id := range ids(outcome.Joined) {
					joined[id]++
				}
			})
		}
	}
	all.Wait()
	require.Len(t, created, 1)
	assert.Equal(t, map[string]int{created[0]: processes*each - 1}, joined)
}

// An equal call joins images in progress, and images that were or may have been paid
// for recently.
func testJoin(t *testing.T, open func() resources.Catalog) {
	c := open()
	failure := &resources.Failure{Kind: resources.KindDownload}
	for name, tt := range map[string]struct {
		lease  resources.Lease
		change func(*resources.Image)
		window time.Duration
		want   bool
	}{
		"queued by a live process":          {alive(one), func(i *resources.Image) { i.State = resources.Queued }, time.Hour, true},
		"queued by a dead process":          {dead(one), func(i *resources.Image) { i.State = resources.Queued }, time.Hour, false},
		"submitted by a dead process":       {dead(one), nil, time.Hour, true},
		"submitted long ago, in progress":   {alive(one), nil, -time.Second, true},
		"submitted long ago by a dead one":  {dead(one), nil, -time.Second, false},
		"saved":                             {dead(one), func(i *resources.Image) { i.State = resources.Saved }, time.Hour, true},
		"saved long ago":                    {dead(one), func(i *resources.Image) { i.State = resources.Saved }, -time.Second, false},
		"saved long ago, lease remains":     {alive(one), func(i *resources.Image) { i.State = resources.Saved }, -time.Second, false},
		"failed":                            {alive(one), func(i *resources.Image) { i.State, i.Charged = resources.Failed, false }, time.Hour, false},
		"download failed":                   {dead(one), func(i *resources.Image) { i.State, i.Failure = resources.FetchFailed, failure }, time.Hour, true},
		"download failed long ago":          {dead(one), func(i *resources.Image) { i.State, i.Failure = resources.FetchFailed, failure }, -time.Second, false},
		"download failed long ago, resumed": {alive(one), func(i *resources.Image) { i.State, i.Failure = resources.Answered, failure }, -time.Second, false},
		"removed":                           {dead(one), func(i *resources.Image) { i.State = resources.Removed }, time.Hour, false},
	} {
		i := reserveCall(t, c, equal(name, tt.lease))
		if tt.change != nil {
			tt.change(&i)
			record(t, c, i)
		}
		again := equal(name, alive(two))
		again.RejoinWindow = tt.window
		outcome, err := c.Reserve(t.Context(), again)
		require.NoError(t, err)
		if tt.want {
			assert.Equal(t, []resources.Image{i}, outcome.Joined, name)
			assert.Empty(t, outcome.New, name)
		} else {
			assert.Empty(t, outcome.Joined, name)
			assert.Len(t, outcome.New, 1, name)
		}
	}
	first := reserveCall(t, c, call(alive(one)))
	assert.NotEqual(t, first.ID, reserveCall(t, c, call(alive(one))).ID, "without a key nothing is joined")
}

// A call joins all images of an equal one, and reserves those that are missing.
func testJoinPart(t *testing.T, open func() resources.Catalog) {
	c := open()
	first := callFor(3, alive(one))
	first.JoinKey = "k"
	outcome, err := c.Reserve(t.Context(), first)
	require.NoError(t, err)
	failed := outcome.New[1]
	failed.State, failed.Charged = resources.Failed, false
	record(t, c, failed)
	again := callFor(3, alive(two))
	again.JoinKey, again.Budget = "k", 30_000
	second, err := c.Reserve(t.Context(), again)
	require.NoError(t, err)
	assert.Equal(t, []string{outcome.New[0].ID, outcome.New[2].ID}, ids(second.Joined))
	assert.Equal(t, []string{again.Images[0].ID}, ids(second.New))
	assert.Equal(t, outcome.New[0].CallID, second.New[0].CallID, "it belongs to the joined call")
	third, err := c.Reserve(t.Context(), again)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{outcome.New[0].ID, outcome.New[2].ID, again.Images[0].ID}, ids(third.Joined))
}

// Equal calls join neither images that were delivered nor images that are being
// delivered.
func testDelivery(t *testing.T, open func() resources.Catalog) {
	c := open()
	i := reserveCall(t, c, equal("k", alive(one)))
	i.State = resources.Saved
	record(t, c, i)
	none := resources.Reservation{Images: call(alive(two)).Images, JoinKey: "k", RejoinWindow: time.Hour} // wants no images
	joins := func() bool {
		outcome, err := c.Reserve(t.Context(), none)
		require.NoError(t, err)
		return len(outcome.Joined) == 1
	}
	require.True(t, joins())
	list := []string{i.ID}
	require.NoError(t, c.BeginDelivery(t.Context(), alive(one), list))
	assert.False(t, joins(), "being delivered")
	require.NoError(t, c.EndDelivery(t.Context(), two, list, false))
	assert.False(t, joins(), "the delivery of another process goes on")
	require.NoError(t, c.EndDelivery(t.Context(), one, list, false))
	assert.True(t, joins(), "not delivered")

	require.NoError(t, c.BeginDelivery(t.Context(), dead(one), list))
	assert.True(t, joins(), "the process died during the delivery")
	require.NoError(t, c.Renew(t.Context(), alive(two), nil, list))
	assert.True(t, joins(), "another process renews nothing")
	require.NoError(t, c.Renew(t.Context(), alive(one), nil, list))
	assert.False(t, joins(), "renewed")

	require.NoError(t, c.EndDelivery(t.Context(), one, list, true))
	assert.False(t, joins(), "delivered")
	assert.True(t, row(t, c, i.ID).Delivered)
	require.NoError(t, c.EndDelivery(t.Context(), one, nil, true))
	require.NoError(t, c.BeginDelivery(t.Context(), alive(one), nil))
}
