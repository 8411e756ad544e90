package jobs_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// withKey makes a pipeline use another key of the rig's service.
func withKey(t *testing.T, r *rig, key string) func(*jobs.Config) {
	t.Helper()
	client, err := zai.NewClient(key, zai.WithBaseURL("http://127.0.0.1"+sandbox.BasePath), zai.WithHTTPClient(&http.Client{Transport: testrig.Transport{Handler: r.sandbox}}),
		zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 }))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return func(c *jobs.Config) { c.Client = client }
}

// All processes together have at most the allowed number of requests in flight for
// an API key, and use all of them. Another key has slots of its own.
func TestReplicas_SlotsAreShared(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		limit    int
		otherKey bool
		most     int
	}{
		"one":      {1, false, 1},
		"five":     {5, false, 5},
		"two keys": {2, true, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = tt.limit }, func(t *testing.T, r *rig) {
				processes := []*rig{r, r.another(t, nil), r.another(t, nil)}
				if tt.otherKey {
					processes = []*rig{r, r.another(t, withKey(t, r, "another-key"))}
				}
				var calls []*jobs.Call
				for n := range 24 {
					call, err := processes[n%len(processes)].Start(t.Context(), order(fmt.Sprintf("sandbox:delay=50ms %d", n)), nil)
					require.NoError(t, err)
					calls = append(calls, call)
				}
				for _, call := range calls {
					wait(t, call)
				}
				assert.Equal(t, tt.most, r.sandbox.MostInFlight("cogview-4-250304"))
				assert.EqualValues(t, 24, r.sandbox.Accepted())
			})
		})
	}
}

// Owners take turns, whichever process their calls are in and however many clients they
// have.
func TestReplicas_OwnersTakeTurns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		other := r.another(t, nil)
		var mu sync.Mutex
		var sent []string
		var calls []*jobs.Call
		start := func(r *rig, owner string, n int) {
			request := order(fmt.Sprintf("sandbox:delay=50ms %d", n))
			request.Owner, request.Client = owner, fmt.Sprint("client ", n%2)
			call, err := r.Start(t.Context(), request, func(s jobs.Stage) {
				if s.Phase == jobs.PhaseGenerating {
					mu.Lock()
					defer mu.Unlock()
					sent = append(sent, owner)
				}
			})
			require.NoError(t, err)
			calls = append(calls, call)
		}
		for n := range 6 {
			start(r, "greedy", n)
		}
		for n := range 2 {
			start(other, "modest", n)
		}
		assert.Equal(t, 0, calls[6].Jobs[0].Ahead(), "greedy has a slot, so it is modest's turn")
		for _, call := range calls {
			wait(t, call)
		}
		assert.Equal(t, []string{"greedy", "modest", "greedy", "modest", "greedy", "greedy", "greedy", "greedy"}, sent)
	})
}

// A slot that a process leaves behind when it dies is free again when its image is
// taken over.
func TestReplicas_SlotOfDeadProcess(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		left := r.submitted(t, resources.Lease{})
		r.sqlf(t, `UPDATE images SET slot=TRUE, lease_owner='another', lease_until_ms=%d WHERE id='%s'`, time.Now().Add(10*time.Second).UnixMilli(), left.ID)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.RunRecovery(ctx)
		began := time.Now()
		call, err := r.Start(t.Context(), order("a fox"), nil)
		require.NoError(t, err)
		assert.Equal(t, resources.Queued, call.Jobs[0].Image().State)
		wait(t, call)
		assert.GreaterOrEqual(t, time.Since(began), 10*time.Second, "not before the lease ends")
		assert.Equal(t, resources.Unknown, r.image(t, left.ID).State)
	})
}

// A delivery that is open in one process keeps equal calls in others from joining
// its images, as long as the process lives.
func TestReplicas_Deliveries(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		deliver func(t *testing.T, r *rig, id string)
		joined  int
	}{
		"none":      {func(*testing.T, *rig, string) {}, 1},
		"confirmed": {func(t *testing.T, r *rig, id string) { r.deliver(t, id) }, 0},
		"open":      {func(_ *testing.T, r *rig, id string) { r.NewDelivery().Begin(id) }, 0},
		"open for long": {func(_ *testing.T, r *rig, id string) {
			r.NewDelivery().Begin(id)
			time.Sleep(3 * r.Lease) // it is renewed
		}, 0},
		"one of two cancelled": {func(_ *testing.T, r *rig, id string) {
			first, second := r.NewDelivery(), r.NewDelivery()
			first.Begin(id)
			second.Begin(id)
			first.Cancel()
		}, 0},
		"both cancelled": {func(_ *testing.T, r *rig, id string) {
			first, second := r.NewDelivery(), r.NewDelivery()
			first.Begin(id)
			second.Begin(id)
			first.Cancel()
			second.Cancel()
		}, 1},
		"open in a process that ended": {func(t *testing.T, r *rig, id string) {
			r.NewDelivery().Begin(id)
			require.NoError(t, r.Drain(t.Context()))
			time.Sleep(r.Lease)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, r *rig) {
				other := r.another(t, nil)
				call, err := r.Start(t.Context(), order("a fox"), nil)
				require.NoError(t, err)
				wait(t, call)
				tt.deliver(t, r, ids(call)[0])
				again, err := other.Start(t.Context(), order("a fox"), nil)
				require.NoError(t, err)
				wait(t, again)
				assert.Equal(t, tt.joined, again.Joined)
			})
		})
	}
}

// A delivery that cannot be recorded is recorded as soon as the catalog can be
// written. Until then no process joins its images.
func TestReplicas_DeliveryRecordedLater(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		other := r.another(t, nil)
		call, err := r.Start(t.Context(), order("a fox"), nil)
		require.NoError(t, err)
		wait(t, call)
		delivery := r.NewDelivery()
		delivery.Begin(ids(call)...)
		r.sql(t, `CREATE TRIGGER broken BEFORE UPDATE OF delivered_ms ON images BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END`)
		delivery.Confirm(t.Context())
		time.Sleep(2 * r.Lease)
		assert.False(t, r.image(t, ids(call)[0]).Delivered)
		second, err := other.Start(t.Context(), order("a fox"), nil)
		require.NoError(t, err)
		assert.Zero(t, second.Joined)
		wait(t, second)
		r.sql(t, `DROP TRIGGER broken`)
		time.Sleep(r.Lease)
		assert.True(t, r.image(t, ids(call)[0]).Delivered)
	})
}

// A call that joins an image of another process gets a new one if the callers there
// abandon it before its request is sent.
func TestReplicas_AbandonedElsewhere(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		other := r.another(t, nil)
		slow, err := r.Start(t.Context(), order("sandbox:delay=5s first"), nil)
		require.NoError(t, err)
		request := order("contended")
		request.N = 2
		first, err := r.Start(t.Context(), request, nil)
		require.NoError(t, err)
		var starts []int
		call, err := other.Run(t.Context(), request, nil, func(call *jobs.Call) error {
			if starts = append(starts, call.Joined); len(starts) == 1 {
				assert.Equal(t, ids(first), ids(call))
				first.Abandon()
			}
			for _, j := range call.Jobs {
				<-j.Done()
			}
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, []int{2, 0}, starts)
		assert.Zero(t, call.Joined)
		wait(t, call)
		wait(t, slow)
		assert.EqualValues(t, 3, r.sandbox.Posts())
		for _, id := range ids(first) {
			assert.False(t, r.image(t, id).Charged)
		}
	})
}

// A call that waits for an image of another process takes it over, with its task and
// its slot, when that process ends.
func TestReplicas_Takeover(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		other := r.another(t, nil)
		call, err := r.Start(t.Context(), poster("sandbox:delay=30s a poster"), nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return call.Jobs[0].Image().State == resources.Polling }, 5*time.Second, time.Millisecond)
		joined, err := other.Start(t.Context(), poster("sandbox:delay=30s a poster"), nil)
		require.NoError(t, err)
		assert.Equal(t, ids(call), ids(joined))
		next, err := other.Start(t.Context(), poster("next"), nil)
		require.NoError(t, err)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, r.Drain(ended))
		wait(t, joined)
		wait(t, next)
		assert.EqualValues(t, 2, r.sandbox.Posts())
		assert.Equal(t, 1, r.sandbox.MostInFlight("glm-image"), "the task keeps its slot")
	})
}

// A process that is not used does not create a catalog.
func TestReplicas_UnusedProcess(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		r.RunRecovery(ctx)
		_, err := os.Stat(filepath.Join(r.folder, ".catalog.db"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}
