package catalogtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// claim claims images and returns their ids.
func claim(t *testing.T, c resources.Catalog, k resources.Claim) []string {
	t.Helper()
	list, err := c.Claim(t.Context(), k)
	require.NoError(t, err)
	return ids(list)
}

// Claim takes over the images whose lease has ended, the oldest first.
func testClaim(t *testing.T, open func() resources.Catalog) {
	c := open()
	var want []string
	for range 3 {
		want = append(want, reserve(t, c, dead(one)).ID)
	}
	busy := reserve(t, c, alive(one)).ID
	next := resources.Claim{Lease: alive(two), Limit: 2}
	assert.Equal(t, want[:2], claim(t, c, next))
	assert.Equal(t, want[2:], claim(t, c, next))
	assert.Empty(t, claim(t, c, next))
	assert.Empty(t, claim(t, c, resources.Claim{Lease: alive(two), Early: true}), "the process is alive")

	require.NoError(t, c.Park(t.Context(), busy, two, 0))
	assert.Empty(t, claim(t, c, next), "it is not a row of the process that parks it")
	require.NoError(t, c.Park(t.Context(), busy, one, time.Hour))
	assert.Empty(t, claim(t, c, next), "not due")
	assert.False(t, row(t, c, busy).LeaseAlive)
	assert.Equal(t, []string{busy}, claim(t, c, resources.Claim{Lease: alive(two), Early: true}))
	require.NoError(t, c.Park(t.Context(), busy, two, 0))
	assert.Equal(t, []string{busy}, claim(t, c, resources.Claim{Lease: dead(three)}))
	require.NoError(t, c.Renew(t.Context(), alive(two), []string{busy}, nil))
	assert.False(t, row(t, c, busy).LeaseAlive, "only the owner renews a lease")
	require.NoError(t, c.Renew(t.Context(), alive(three), []string{busy}, nil))
	assert.True(t, row(t, c, busy).LeaseAlive)

	before := row(t, c, busy)
	require.NoError(t, c.Renew(t.Context(), dead(three), []string{busy}, nil))
	assert.Equal(t, []string{busy}, claim(t, c, next))
	assert.Equal(t, before.UpdatedAt, row(t, c, busy).UpdatedAt, "a claim is no result")
}

// A claim of one image also takes one whose next attempt is not due, and one that the
// process owns already.
func testClaimOne(t *testing.T, open func() resources.Catalog) {
	c := open()
	i := reserve(t, c, alive(one)).ID
	next := resources.Claim{Lease: alive(two), ID: i}
	assert.Empty(t, claim(t, c, next))
	require.NoError(t, c.Park(t.Context(), i, one, time.Hour))
	assert.Equal(t, []string{i}, claim(t, c, next))
	assert.Equal(t, []string{i}, claim(t, c, next))
	saved := insert(t, c, nil).ID
	assert.Empty(t, claim(t, c, resources.Claim{Lease: alive(two), ID: saved}))
	assert.Empty(t, claim(t, c, resources.Claim{Lease: alive(two), ID: newID()}))
}

// Processes that claim at the same time get different images.
func testClaimConcurrent(t *testing.T, open func() resources.Catalog) {
	const images = 40
	c := open()
	for range images {
		reserve(t, c, dead(one))
	}
	var (
		mu    sync.Mutex
		all   sync.WaitGroup
		times = map[string]int{}
	)
	for _, process := range []string{one, two, three, four} {
		other := open()
		all.Go(func() {
			for {
				list, err := other.Claim(context.Background(), resources.Claim{Lease: alive(process), Limit: 3})
				if err != nil {
					t.Error(err)
				}
				if len(list) == 0 {
					return
				}
				mu.Lock()
				for _, i := range list {
					times[i.ID]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	rest := claim(t, c, resources.Claim{Lease: alive(one)}) // a process may find only images that others are claiming
	assert.Len(t, times, images-len(rest))
	for id, n := range times {
		assert.Equal(t, 1, n, id)
	}
}

// A process with the sandbox claims only sandbox images, and others only real ones.
func testClaimSandbox(t *testing.T, open func() resources.Catalog) {
	c := open()
	sandbox := dead(one)
	sandbox.Sandbox = true
	simulated, paid := reserve(t, c, sandbox).ID, reserve(t, c, dead(one)).ID
	lease := alive(two)
	assert.Equal(t, []string{paid}, claim(t, c, resources.Claim{Lease: lease}))
	lease.Sandbox = true
	assert.Empty(t, claim(t, c, resources.Claim{Lease: lease, ID: paid}))
	assert.Equal(t, []string{simulated}, claim(t, c, resources.Claim{Lease: lease}))
}

// NextClaim says when the next image of another process can be claimed.
func testNextClaim(t *testing.T, open func() resources.Catalog) {
	c := open()
	_, ok, err := c.NextClaim(t.Context(), alive(one))
	require.NoError(t, err)
	assert.False(t, ok, "there are no images")
	i := reserve(t, c, alive(one))
	_, ok, err = c.NextClaim(t.Context(), alive(one))
	require.NoError(t, err)
	assert.False(t, ok, "the process owns the image")
	wait, ok, err := c.NextClaim(t.Context(), alive(two))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.InDelta(t, time.Hour, wait, float64(time.Minute))
	require.NoError(t, c.Park(t.Context(), i.ID, one, 10*time.Minute))
	wait, _, err = c.NextClaim(t.Context(), alive(one))
	require.NoError(t, err)
	assert.InDelta(t, 10*time.Minute, wait, float64(time.Minute))
	reserve(t, c, dead(three))
	wait, ok, err = c.NextClaim(t.Context(), alive(one))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Zero(t, wait)
}
