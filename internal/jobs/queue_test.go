package jobs_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai/sandbox"
)

// Clients take turns, the images of each client keep their order, and Ahead
// counts the images that get a slot before.
func TestQueue_ClientsTakeTurns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		var mu sync.Mutex
		var sent []string
		start := func(client, prompt string) *jobs.Job {
			o := order("sandbox:delay=20ms " + prompt)
			o.Client = client
			j, err := r.start(t.Context(), o, func(s jobs.Stage) {
				if s.Phase == jobs.PhaseGenerating {
					mu.Lock()
					defer mu.Unlock()
					sent = append(sent, prompt)
				}
			})
			require.NoError(t, err)
			return j
		}
		first := order("sandbox:delay=300ms first")
		first.Client = "before"
		_, err := r.start(t.Context(), first, nil)
		require.NoError(t, err)
		var list []*jobs.Job
		for n := range 5 {
			list = append(list, start("greedy", fmt.Sprint("greedy ", n)))
		}
		for n := range 2 {
			list = append(list, start("modest", fmt.Sprint("modest ", n)))
		}
		list = append(list, start("late", "late 0"))
		var before []int
		for _, j := range list {
			before = append(before, j.Ahead())
		}
		assert.Equal(t, []int{0, 3, 5, 6, 7, 1, 4, 2}, before)
		assert.Equal(t, 8, r.Waiting())
		list[1].Abandon() // the images behind it move up
		<-list[1].Done()
		require.Eventually(t, func() bool {
			return slices.Equal([]int{3, 5, 6}, []int{list[2].Ahead(), list[3].Ahead(), list[4].Ahead()})
		}, 5*time.Second, time.Millisecond)
		for _, j := range list {
			<-j.Done()
		}
		assert.Equal(t, []string{"greedy 0", "modest 0", "late 0", "greedy 2", "modest 1", "greedy 3", "greedy 4"}, sent)
		assert.Zero(t, r.Waiting())
	})
}

// The numbers of images ahead are correct for every order in which images enter and
// leave the queue of the catalog.
func TestQueue_Ahead(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	lease, slots := resources.Lease{Process: r.Process, For: time.Hour}, resources.Slots{Key: "key", Limit: 2}
	var inFlight, waiting []resources.Image
	ahead := map[string]int{}
	next := 0
	random := func(n int) int { next = (next*1103515245 + 12345) & 0x7fffffff; return next / 8 % n }
	end := func(i resources.Image) {
		i.State, i.Charged = resources.Failed, false
		require.NoError(t, r.Library.Catalog().Record(t.Context(), i, resources.Guard{Lease: lease}))
	}
	for step := range 400 {
		switch {
		case random(3) == 0 && len(inFlight) > 0:
			end(inFlight[0])
			inFlight = inFlight[1:]
		case random(5) == 0 && len(waiting) > 0:
			at := random(len(waiting))
			end(waiting[at])
			waiting = slices.Delete(waiting, at, at+1)
		case len(waiting) < 30:
			id, err := r.Library.NewID()
			require.NoError(t, err)
			reserved, err := r.Library.Catalog().Reserve(t.Context(), resources.Reservation{
				Images: []resources.Image{{ID: id, CallID: id, Owner: fmt.Sprint("owner ", random(2)), Model: "m", Prompt: "x"}}, Count: 1,
				Lease: lease, Slots: slots, Client: fmt.Sprint("client ", random(3)),
			})
			require.NoError(t, err)
			if i := reserved.New[0]; i.State == resources.Queued {
				waiting = append(waiting, i)
			} else {
				inFlight = append(inFlight, i)
			}
		}
		before := ahead
		grant, err := r.Library.Catalog().Grant(t.Context(), "m", slots, lease)
		require.NoError(t, err)
		ahead = grant.Ahead
		waiting = slices.DeleteFunc(waiting, func(i resources.Image) bool {
			if !slices.Contains(grant.Granted, i.ID) {
				return false
			}
			if n, known := before[i.ID]; known {
				require.LessOrEqual(t, n, 1, "an image that gets a slot was among the next ones") // one may have left before it
			}
			inFlight = append(inFlight, i)
			return true
		})
		require.LessOrEqual(t, len(inFlight), 2, step)
		require.Len(t, ahead, len(waiting), step)
		numbers := slices.Sorted(maps.Values(ahead))
		for n, number := range numbers {
			require.Equal(t, n, number, "no two images have the same number")
		}
		if len(waiting) > 0 {
			require.Len(t, inFlight, 2, "no slot is free while an image waits")
		}
	}
}

// A client with too many waiting images gets ErrBusy, and other clients do not.
func TestQueue_Bounds(t *testing.T) {
	t.Parallel()
	var posts atomic.Int64
	release := make(chan struct{})
	wrap := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if request.Method == http.MethodPost {
				posts.Add(1)
				<-release
			}
			next.ServeHTTP(w, request)
		})
	}
	r := newServiceRig(t, sandbox.Options{MaxConcurrent: sandbox.Unlimited}, wrap, func(c *jobs.Config) { c.MaxConcurrent = 1 })
	enter := func(client string, n int) (list []*jobs.Job, failure error) {
		for i := range n {
			o := order(fmt.Sprint(client, i))
			o.Client = client
			j, err := r.start(t.Context(), o, nil)
			if err != nil {
				return list, err
			}
			list = append(list, j)
		}
		return list, nil
	}
	all, err := enter("greedy", 300)
	require.ErrorIs(t, err, jobs.ErrBusy)
	assert.Len(t, all, 251, "one in flight, 250 waiting")
	failure := jobs.Describe(err)
	assert.EqualValues(t, "rate_limited", failure.Kind)
	assert.True(t, failure.Retryable)
	more, err := enter("modest", 1)
	require.NoError(t, err, "the limit of one client does not affect another")
	spent, err := r.Library.SpentToday(context.Background(), "local", false)
	require.NoError(t, err)
	assert.InDelta(t, 2.52, spent, 1e-9, "refused images are not charged")
	for _, j := range append(all, more...) {
		j.Abandon()
	}
	for _, j := range append(all[1:], more...) {
		<-j.Done()
	}
	assert.Zero(t, r.Waiting())
	close(release)
	<-all[0].Done()
	assert.LessOrEqual(t, posts.Load(), int64(1))
}

// An image that waits for a slot gets it although the catalog fails for a while, and
// also if the answer that it has a slot was lost.
func TestQueue_CatalogFailsForAWhile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ spoil, repair string }{
		"slots cannot be given": {
			`CREATE TRIGGER broken BEFORE UPDATE ON images WHEN NEW.state='submitted' BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END`, `DROP TRIGGER broken`,
		},
		"the answer was lost": {`UPDATE images SET state='submitted', slot=TRUE WHERE prompt='waiting'`, `SELECT 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
				first, err := r.Start(t.Context(), order("sandbox:delay=5s first"), nil)
				require.NoError(t, err)
				waiting, err := r.Start(t.Context(), order("waiting"), nil)
				require.NoError(t, err)
				require.Equal(t, resources.Queued, waiting.Jobs[0].Image().State)
				r.sql(t, tt.spoil)
				wait(t, first)
				time.Sleep(10 * time.Second)
				r.sql(t, tt.repair)
				wait(t, waiting)
				assert.EqualValues(t, 2, r.sandbox.Accepted())
				assert.Zero(t, r.Waiting())
			})
		})
	}
}

// At most MaxConcurrent requests are in flight. The other images wait in order,
// and one that is abandoned while it waits is neither sent nor charged.
func TestQueue_Order(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		first, err := r.start(t.Context(), order("first sandbox:delay=300ms"), nil)
		require.NoError(t, err)
		var mu sync.Mutex
		var started []string
		var waiting []*jobs.Job
		for n := range 4 {
			j, err := r.start(t.Context(), order(fmt.Sprintf("waiting %d", n)), func(s jobs.Stage) {
				if s.Phase == jobs.PhaseGenerating {
					mu.Lock()
					started = append(started, s.ID)
					mu.Unlock()
				}
			})
			require.NoError(t, err)
			assert.Equal(t, resources.Queued, j.Image().State)
			waiting = append(waiting, j)
			time.Sleep(5 * time.Millisecond) // lets it enter the queue
		}
		waiting[1].Abandon()
		<-waiting[1].Done()
		abandoned := waiting[1].Image()
		assert.Equal(t, resources.Failed, abandoned.State)
		assert.EqualValues(t, "cancelled", abandoned.Failure.Kind)
		assert.False(t, abandoned.Charged)
		first.Abandon() // too late: its request was sent
		for _, j := range []*jobs.Job{first, waiting[0], waiting[2], waiting[3]} {
			<-j.Done()
			assert.Equal(t, resources.Saved, j.Image().State)
		}
		assert.Equal(t, []string{waiting[0].ID(), waiting[2].ID(), waiting[3].ID()}, started)
		assert.EqualValues(t, 4, r.sandbox.Posts())
	})
}
