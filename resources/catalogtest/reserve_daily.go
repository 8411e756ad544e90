package catalogtest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// A daily number of images applies to one owner, counts what is charged whatever it
// costs, and is separate for the sandbox. Joined images count once.
func testReserveDaily(t *testing.T, open func() resources.Catalog) {
	c := open()
	try := func(n int, change func(*resources.Reservation, *resources.Image)) (resources.Outcome, error) {
		r := callFor(n, alive(one))
		r.Daily = 3
		for n := range r.Images {
			if change != nil {
				change(&r, &r.Images[n])
			}
		}
		return c.Reserve(t.Context(), r)
	}
	free := func(_ *resources.Reservation, i *resources.Image) { i.CostMicroUSD = 0 }
	joins := func(r *resources.Reservation, _ *resources.Image) { r.JoinKey = "k" }
	_, err := try(1, free)
	require.NoError(t, err)
	outcome, err := try(4, joins)
	require.ErrorIs(t, err, resources.ErrDailyImages)
	require.NotErrorIs(t, err, resources.ErrBudget)
	require.Len(t, outcome.New, 2, "what remains is reserved")
	none, err := try(1, free)
	require.ErrorIs(t, err, resources.ErrDailyImages)
	assert.Empty(t, none.New)
	again, err := try(2, joins)
	require.NoError(t, err)
	assert.Equal(t, ids(outcome.New), ids(again.Joined), "joined images count once")
	_, err = try(3, func(_ *resources.Reservation, i *resources.Image) { i.Owner = "another" })
	require.NoError(t, err, "each owner has a number")
	_, err = try(3, func(_ *resources.Reservation, i *resources.Image) { i.Sandbox = true })
	require.NoError(t, err, "the sandbox has its own number")
	_, err = try(1, func(r *resources.Reservation, _ *resources.Image) { r.Daily = 0 })
	require.NoError(t, err, "no limit")
	_, err = try(1, func(r *resources.Reservation, _ *resources.Image) { r.Daily, r.Budget = 10, 25_000 })
	require.ErrorIs(t, err, resources.ErrBudget, "the limit that is reached first")

	for _, i := range outcome.New {
		i.State, i.Charged = resources.Failed, false
		record(t, c, i)
	}
	_, err = try(1, nil)
	require.NoError(t, err, "a failed image does not count")
	_, err = c.Remove(t.Context(), owner, again.Joined[0].ID)
	require.NoError(t, err)
	_, err = try(1, nil)
	require.ErrorIs(t, err, resources.ErrDailyImages)
}

// A daily number of images is exact while several processes reserve several images at
// a time.
func testReserveDailyConcurrent(t *testing.T, open func() resources.Catalog) {
	const processes, each, daily = 4, 5, 20
	var (
		mu      sync.Mutex
		created []string
		all     sync.WaitGroup
	)
	for range processes {
		c := open()
		for range each {
			all.Go(func() {
				r := callFor(3, alive(one))
				r.Daily = daily
				outcome, err := c.Reserve(context.Background(), r)
				mu.Lock()
				defer mu.Unlock()
				created = append(created, ids(outcome.New)...)
				if err != nil && !errors.Is(err, resources.ErrDailyImages) {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	assert.Len(t, created, daily)
}
