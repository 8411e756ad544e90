package replicas

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// session is a client of the protocol versions that have sessions. Its session is on one
// replica at a time.
type session struct {
	id           string
	initialized  int // how often
	ownerOfCalls string
}

// ping calls a method on a replica, and initializes once if the replica does not know the
// session, as the protocol says. It returns the status of the last response.
func (s *session) ping(ctx context.Context, t *testing.T, r *replica) (statuses []int) {
	t.Helper()
	for range 2 {
		response, err := r.post(ctx, s.ownerOfCalls, testrig.Ping, "Mcp-Session-Id", s.id)
		require.NoError(t, err)
		response.Body.Close()
		statuses = append(statuses, response.StatusCode)
		if response.StatusCode != http.StatusNotFound {
			return statuses
		}
		s.initialize(ctx, t, r)
	}
	return statuses
}

func (s *session) initialize(ctx context.Context, t *testing.T, r *replica) {
	t.Helper()
	response, err := r.post(ctx, s.ownerOfCalls, testrig.Initialize)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	s.id = response.Header.Get("Mcp-Session-Id")
	require.NotEmpty(t, s.id)
	s.initialized++
	response, err = r.post(ctx, s.ownerOfCalls, testrig.Initialized, "Mcp-Session-Id", s.id)
	require.NoError(t, err)
	response.Body.Close()
}

// A client whose replica goes away is told by another replica that its session is gone,
// and initializes once.
func TestSessions_ReplicaGoesAway(t *testing.T) {
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		t.Parallel()
		f := newFleet(t, 2, newPlace(t), newUpstream(t))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := &session{ownerOfCalls: "alice"}
		s.initialize(ctx, t, f.replicas[0])
		assert.Equal(t, []int{200}, s.ping(ctx, t, f.replicas[0]))
		require.NoError(t, f.replicas[0].stop())
		assert.Equal(t, []int{404, 200}, s.ping(ctx, t, f.replicas[1]))
		assert.Equal(t, []int{200}, s.ping(ctx, t, f.replicas[1]))
		assert.Equal(t, 2, s.initialized, "once more")
	})
}

// While all replicas are restarted one after the other, callers lose no image and none is
// paid for twice.
func TestRollingRestart(t *testing.T) {
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		t.Parallel()
		u := newUpstream(t)
		f := newFleet(t, 4, newPlace(t), u, "--daily-budget", "0", "--max-concurrent", "8")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		var done atomic.Bool
		var acked sync.Map // hash by prompt
		var all sync.WaitGroup
		for caller := range 16 {
			all.Go(func() {
				for n := 0; !done.Load(); n++ {
					prompt := fmt.Sprintf("sandbox:delay=100ms image %d of caller %d", n, caller)
					o := f.insist(ctx, caller, owners[caller%len(owners)], cogview, prompt)
					for o.kind == "cancelled" && ctx.Err() == nil { // the replica stopped before the image was requested
						o = f.insist(ctx, caller+1, owners[caller%len(owners)], cogview, prompt)
					}
					if assert.Equal(t, "saved", o.status, "%s, %v", o.said(), o.err) {
						acked.Store(prompt, o.sha)
					}
				}
			})
		}
		for i, r := range f.replicas {
			before := u.Accepted()
			require.Eventually(t, func() bool { return u.Accepted() >= before+10 }, 30*time.Second, 5*time.Millisecond)
			require.NoError(t, r.stop(), "replica %d exits with status 0", i)
			r.start()
		}
		done.Store(true)
		all.Wait()
		l, saved, made := f.place.library(t), 0, 0
		acked.Range(func(any, any) bool { made++; return true })
		for _, owner := range owners {
			for prompt, list := range images(t, l, owner) {
				assert.Len(t, list, 1, prompt)
				sha, _ := acked.Load(prompt)
				assert.Equal(t, sha, list[0].SHA256, prompt)
				saved++
			}
		}
		assert.Equal(t, made, saved)
		assert.EqualValues(t, made, u.Accepted())
		assert.Equal(t, 1, u.mostPosts())
		f.place.checkClean(t)
		t.Logf("%d images while 4 replicas were restarted", made)
	})
}
