package jobs_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
)

// another is another process on the same library.
func (r *rig) another(t *testing.T, change func(*jobs.Config)) *rig {
	t.Helper()
	other := &rig{sandbox: r.sandbox, folder: r.folder}
	config := r.Config
	config.Process = rand.Text()
	config.Library = resources.New(resources.Options{Folder: r.folder, Now: config.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, config.Library.Close()) })
	if change != nil {
		change(&config)
	}
	other.Pipeline = jobs.New(config)
	t.Cleanup(func() { _ = other.Drain(t.Context()) })
	return other
}

func ids(call *jobs.Call) (list []string) {
	for _, j := range call.Jobs {
		list = append(list, j.ID())
	}
	return list
}

// wait waits for a call's images, which must all be there.
func wait(t *testing.T, call *jobs.Call) []resources.Image {
	t.Helper()
	var rows []resources.Image
	for _, j := range call.Jobs {
		<-j.Done()
		rows = append(rows, j.Image())
		assert.Equal(t, resources.Saved, j.Image().State, "%+v", j.Image().Failure)
	}
	return rows
}

// Equal calls at once are one, in one process and in several.
func TestEqualCallsAreOne(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			processes := []*rig{r, r.another(t, nil), r.another(t, nil)}
			request := order("sandbox:delay=500ms a fox")
			request.N = n
			var mu sync.Mutex
			var all sync.WaitGroup
			seen, begun := map[string]int{}, 0
			for i := range 100 {
				all.Go(func() {
					call, err := processes[i%len(processes)].Start(t.Context(), request, nil)
					if err != nil {
						t.Error(err)
						return
					}
					wait(t, call)
					mu.Lock()
					defer mu.Unlock()
					seen[fmt.Sprint(ids(call))]++
					if call.Joined == 0 {
						begun++
					}
				})
			}
			all.Wait()
			assert.Len(t, seen, 1, "all have the same images")
			assert.Equal(t, 1, begun)
			assert.EqualValues(t, n, r.sandbox.Posts())
			spent, err := r.Library.SpentToday(t.Context(), "local", false)
			require.NoError(t, err)
			assert.InDelta(t, 0.01*float64(n), spent, 1e-9)
		})
	}
}

func TestWhatMakesCallsEqual(t *testing.T) {
	base := order("sandbox:delay=1s a fox")
	for name, change := range map[string]func(*jobs.Request){
		"owner":   func(r *jobs.Request) { r.Owner = "alice" },
		"model":   func(r *jobs.Request) { r.Model = "glm-image"; r.Quality = "hd" },
		"prompt":  func(r *jobs.Request) { r.Prompt += " " },
		"size":    func(r *jobs.Request) { r.Size = "1024x1024" },
		"quality": func(r *jobs.Request) { r.Quality = "hd" },
		"n":       func(r *jobs.Request) { r.N = 2 },
		"user_id": func(r *jobs.Request) { r.UserID = "somebody" },
		"nothing": func(r *jobs.Request) { r.Client, r.PriceUSD = "another", 0.02 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			first, err := r.Start(t.Context(), base, nil)
			require.NoError(t, err)
			other := base
			change(&other)
			second, err := r.Start(t.Context(), other, nil)
			require.NoError(t, err)
			assert.Equal(t, name == "nothing", second.Joined > 0)
			wait(t, first)
			wait(t, second)
		})
	}
}

// The caller left after the request was sent. Its image waits for the same
// call to be made again, in this process and in others, until it is delivered
// and no longer than it should.
func TestACallMadeAgainGetsItsPicture(t *testing.T) {
	for name, elsewhere := range map[string]bool{"here": false, "in another process": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var offset atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
			folder := t.TempDir()
			r := newRig(t, func(c *jobs.Config) {
				c.Now, c.Library = now, resources.New(resources.Options{Folder: folder, Now: now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
			})
			r.folder = folder
			next := r
			if elsewhere {
				next = r.another(t, nil)
			}
			for _, done := range []bool{false, true} {
				posts := r.sandbox.Posts()
				request := order(fmt.Sprint("sandbox:delay=300ms ", done))
				call, err := r.Start(t.Context(), request, nil)
				require.NoError(t, err)
				require.Eventually(t, func() bool { return r.sandbox.Accepted() == posts+1 }, 5*time.Second, time.Millisecond)
				call.Abandon()
				if done {
					<-call.Jobs[0].Done()
				}
				repeated, err := next.Start(t.Context(), request, nil)
				require.NoError(t, err)
				assert.Equal(t, 1, repeated.Joined)
				assert.Equal(t, ids(call), ids(repeated))
				wait(t, repeated)
				assert.Equal(t, posts+1, r.sandbox.Posts(), "nothing is sent a second time")
				if done {
					offset.Add(int64(16 * time.Minute)) // then it is a new wish
				} else {
					next.deliver(t, ids(call)...)
				}
				after, err := next.Start(t.Context(), request, nil)
				require.NoError(t, err)
				assert.Zero(t, after.Joined)
				wait(t, after)
				assert.Equal(t, posts+2, r.sandbox.Posts())
			}
		})
	}
}

// The process died when the image was answered: the same call made again
// brings it home.
func TestACallMadeAgainAfterItsProcessDied(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	call, err := r.Start(t.Context(), order("sandbox:download"), nil)
	require.NoError(t, err)
	<-call.Jobs[0].Done()
	link := r.make(t, "another").UpstreamURL
	r.sql(t, `UPDATE images SET upstream_url='`+link+`', failure='', lease_owner='dead', lease_until_ms=1 WHERE id='`+ids(call)[0]+`'`)
	repeated, err := r.another(t, nil).Start(t.Context(), order("sandbox:download"), nil)
	require.NoError(t, err)
	assert.Equal(t, ids(call), ids(repeated))
	wait(t, repeated)
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// While an answer is on its way its images are not given to an equal call,
// unless it turns out that it did not arrive.
func TestAnswersOnTheirWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	call, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	wait(t, call)
	delivery := r.NewDelivery()
	delivery.Begin(ids(call)...)
	other, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	assert.Zero(t, other.Joined)
	wait(t, other)
	r.deliver(t, ids(other)...)
	delivery.Cancel()
	again, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	assert.Equal(t, ids(call), ids(again))
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// One of two callers who want the same image leaves: the other gets it. When
// both leave before anything is sent, nothing is.
func TestNobodyCancelsAnothersCall(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent = 1 })
	slow, err := r.Start(t.Context(), order("sandbox:delay=500ms first"), nil)
	require.NoError(t, err)
	var calls []*jobs.Call
	for range 2 {
		for _, prompt := range []string{"wanted by one", "wanted by nobody"} {
			call, err := r.Start(t.Context(), order(prompt), nil)
			require.NoError(t, err)
			calls = append(calls, call)
		}
	}
	calls[0].Abandon()
	calls[1].Abandon()
	calls[3].Abandon()
	<-calls[3].Jobs[0].Done()
	assert.EqualValues(t, "cancelled", calls[1].Jobs[0].Image().Failure.Kind)
	begun, err := r.Start(t.Context(), order("wanted by nobody"), nil)
	require.NoError(t, err)
	assert.Zero(t, begun.Joined, "what was given up is begun anew")
	begun.Abandon()
	wait(t, slow)
	assert.Equal(t, ids(calls[0]), ids(calls[2]))
	wait(t, calls[2])
	<-begun.Jobs[0].Done()
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// Joining in the moment in which the last caller leaves.
func TestJoiningWhatIsBeingGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent = 1 })
	for round := range 30 {
		slow, err := r.Start(t.Context(), order(fmt.Sprint("sandbox:delay=20ms first ", round)), nil)
		require.NoError(t, err)
		request := order(fmt.Sprint("contended ", round))
		first, err := r.Start(t.Context(), request, nil)
		require.NoError(t, err)
		var all sync.WaitGroup
		all.Go(first.Abandon)
		all.Go(func() {
			call, err := r.Start(t.Context(), request, nil)
			if assert.NoError(t, err) {
				wait(t, call)
			}
		})
		wait(t, slow)
		all.Wait()
	}
	assert.LessOrEqual(t, r.sandbox.Posts(), int64(60))
}

// An equal call for which there was not enough money tries the rest.
func TestJoiningACallThatGotLess(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jobs.Config) { c.BudgetUSD = 0.02 })
	request := order("sandbox:delay=300ms a fox")
	request.N = 4
	first, err := r.Start(t.Context(), request, nil)
	require.NoError(t, err)
	assert.Len(t, first.Jobs, 2)
	var budget *jobs.BudgetError
	require.ErrorAs(t, first.Refused, &budget)
	second, err := r.Start(t.Context(), request, nil)
	require.NoError(t, err)
	assert.Equal(t, ids(first), ids(second))
	assert.Equal(t, 2, second.Joined)
	require.ErrorAs(t, second.Refused, &budget)
	wait(t, first)
	assert.EqualValues(t, 2, r.sandbox.Posts())
}
