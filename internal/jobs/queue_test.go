package jobs_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// Clients take turns, each in its own order, and are told how many come first.
func TestClientsTakeTurns(t *testing.T) {
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent = 1 })
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
	first.Client = "greedy"
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
	list[1].Abandon() // greedy 1 leaves, those behind it move up
	<-list[1].Done()
	assert.Equal(t, []int{3, 5, 6}, []int{list[2].Ahead(), list[3].Ahead(), list[4].Ahead()})
	for _, j := range list {
		<-j.Done()
	}
	assert.Equal(t, []string{"greedy 0", "modest 0", "late 0", "greedy 2", "modest 1", "greedy 3", "greedy 4"}, sent)
	assert.Zero(t, r.Waiting())
}

// What is said of the queue comes true, for all ways to join and leave it.
func TestTheQueueKeepsItsWord(t *testing.T) {
	q := jobs.NewQueue(2, 1000, 1000)
	var slots, waiting []*jobs.Place
	next := 0
	random := func(n int) int { next = (next*1103515245 + 12345) & 0x7fffffff; return next / 8 % n }
	for step := range 5000 {
		switch {
		case random(3) == 0 && len(slots) > 0:
			first := slices.IndexFunc(waiting, func(p *jobs.Place) bool { return p.Ahead() == 0 })
			slots[0].Leave()
			slots[0].Leave() // twice gives no second slot back
			slots = slots[1:]
			if len(waiting) > 0 {
				require.True(t, waiting[first].HasSlot(), "who was told to be next is")
			}
		case random(5) == 0 && len(waiting) > 0:
			at := random(len(waiting))
			waiting[at].Leave()
			waiting[at].Leave() // twice does no harm
			waiting = append(waiting[:at:at], waiting[at+1:]...)
		case len(waiting) < 30:
			p, err := q.Enter(fmt.Sprint("client ", random(6)))
			require.NoError(t, err)
			waiting = append(waiting, p)
		}
		var still []*jobs.Place
		for _, p := range waiting {
			if p.HasSlot() {
				slots = append(slots, p)
			} else {
				still = append(still, p)
			}
		}
		waiting = still
		require.LessOrEqual(t, len(slots), 2, step)
		require.Equal(t, len(waiting), q.Length(), step)
		if order := numbers(waiting); len(waiting) > 0 {
			require.Equal(t, order, counted(len(order)), "each has a number of its own")
			require.Len(t, slots, 2, "no slot is left free while somebody waits")
		}
	}
}

func numbers(waiting []*jobs.Place) (list []int) {
	for _, p := range waiting {
		list = append(list, p.Ahead())
	}
	slices.Sort(list)
	return list
}

func counted(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	var posts atomic.Int64
	release, service := make(chan struct{}), sandbox.New(sandbox.Options{MaxConcurrent: sandbox.Unlimited})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPost {
			posts.Add(1)
			<-release
		}
		service.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	client, err := zai.NewClient("key", zai.WithBaseURL(server.URL+sandbox.BasePath))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent, c.Client = 1, client })
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
	assert.Len(t, all, 251, "one at work, 250 waiting")
	failure := jobs.Describe(err)
	assert.EqualValues(t, "rate_limited", failure.Kind)
	assert.True(t, failure.Retryable)
	more, err := enter("modest", 1)
	require.NoError(t, err, "others still have room")
	spent, err := r.Library.SpentToday(context.Background(), "local", false)
	require.NoError(t, err)
	assert.InDelta(t, 2.52, spent, 1e-9, "nothing is charged for what was refused")
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

// What is charged is told once, however often an image is fetched again.
func TestChargedOnce(t *testing.T) {
	t.Parallel()
	charged := make(chan bool, 10)
	r := newRig(t, nil)
	r.Subscribe(func(e jobs.Event) { charged <- e.Image.Charged && !e.Resumed })
	row := r.make(t, "sandbox:page*8")
	require.Equal(t, resources.Answered, row.State)
	assert.True(t, <-charged)
	for range 2 {
		j, err := r.Follow(t.Context(), row, nil)
		require.NoError(t, err)
		<-j.Done()
		assert.False(t, <-charged)
	}
}
