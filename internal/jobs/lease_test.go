package jobs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
)

// Images of a live process are never taken over, even if they take long. Those
// of a dead process are taken over once its lease expires.
func TestLeases_AliveAndDead(t *testing.T) {
	t.Parallel()
	const lease = 600 * time.Millisecond
	inBubble(t, func(c *jobs.Config) { c.Lease, c.MaxConcurrent = lease, 2 }, func(t *testing.T, alive *rig) {
		other := alive.another(t, func(c *jobs.Config) { c.Lease = lease })
		var calls []*jobs.Call
		for n := range 4 { // two of them are queued
			call, err := alive.Start(t.Context(), order(fmt.Sprint("sandbox:delay=2s ", n)), nil)
			require.NoError(t, err)
			calls = append(calls, call)
		}
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			taken, err := other.Recover(t.Context(), true)
			require.NoError(t, err)
			require.Empty(t, taken)
		}
		for _, call := range calls {
			wait(t, call)
		}
		assert.EqualValues(t, 4, alive.sandbox.Posts())

		orphan := other.submitted(t, resources.Lease{Process: "dead soon", For: lease})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go other.RunRecovery(ctx)
		started := time.Now()
		require.Eventually(t, func() bool { return other.image(t, orphan.ID).State == resources.Unknown }, 10*time.Second, 10*time.Millisecond)
		assert.Greater(t, time.Since(started), lease/2, "not before its lease expires")
	})
}

// A process that was suspended for a long time, for example because a laptop
// was closed, loses its images to another one. Afterwards it sends no more
// requests.
func TestLeases_TakenOverWhileAlive(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		other := r.another(t, nil)
		first, err := r.Start(t.Context(), order("sandbox:delay=1s first"), nil)
		require.NoError(t, err)
		waits, err := r.Start(t.Context(), order("waits"), nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
		r.sql(t, `UPDATE images SET lease_until_ms=1`)
		taken, err := other.Recover(t.Context(), false)
		require.NoError(t, err)
		require.Empty(t, taken, "the process still holds its lock file")
		require.NoError(t, os.RemoveAll(filepath.Join(r.folder, ".processes")))
		taken, err = other.Recover(t.Context(), false)
		require.NoError(t, err)
		require.Len(t, taken, 2)
		for _, j := range taken {
			<-j.Done()
		}
		assert.Equal(t, resources.Unknown, r.image(t, ids(first)[0]).State)
		wait(t, first) // its request was sent before, and the response arrives
		assert.Equal(t, resources.Saved, r.image(t, ids(first)[0]).State, "the downloaded image replaces the unknown outcome")
		<-waits.Jobs[0].Done()
		assert.Equal(t, resources.Failed, r.image(t, ids(waits)[0]).State)
		assert.False(t, r.image(t, ids(waits)[0]).Charged)
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}

// A process that was suspended right before it sends a request first checks
// that it still holds the lease on the image, also if its clock was set back.
func TestLeases_SuspendedBeforeSend(t *testing.T) {
	t.Parallel()
	for name, sleep := range map[string]func(setBack *atomic.Bool){
		"suspended":      func(*atomic.Bool) { time.Sleep(300 * time.Millisecond) },
		"clock set back": func(setBack *atomic.Bool) { setBack.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var setBack atomic.Bool
			now := func() time.Time {
				if setBack.Load() {
					return time.Now().Add(-time.Hour)
				}
				return time.Now()
			}
			inBubble(t, func(c *jobs.Config) { c.Lease, c.Now = 400*time.Millisecond, now }, func(t *testing.T, r *rig) {
				r.make(t, "a fox")
				call, err := r.Start(t.Context(), order("an owl"), func(s jobs.Stage) {
					if s.Phase == jobs.PhaseQueued {
						sleep(&setBack)
						r.sql(t, `UPDATE images SET state='unknown' WHERE prompt='an owl'`)
					}
				})
				require.NoError(t, err)
				<-call.Jobs[0].Done()
				assert.EqualValues(t, 1, r.sandbox.Posts())
			})
		})
	}
}
