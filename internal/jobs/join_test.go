package jobs_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
)

// Concurrent equal calls share their images, in one process and in several.
func TestStart_EqualCallsJoin(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, r *rig) {
				processes := []*rig{r, r.another(t, nil), r.another(t, nil)}
				request := order("sandbox:delay=500ms a fox")
				request.N = n
				var mu sync.Mutex
				var all sync.WaitGroup
				seen, started := map[string]int{}, 0
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
							started++
						}
					})
				}
				all.Wait()
				assert.Len(t, seen, 1, "all calls have the same images")
				assert.Equal(t, 1, started)
				assert.EqualValues(t, n, r.sandbox.Posts())
				spent, err := r.Library.SpentToday(t.Context(), "local", false)
				require.NoError(t, err)
				assert.InDelta(t, 0.01*float64(n), spent, 1e-9)
			})
		})
	}
}

// Calls are equal if all arguments that affect the image, the number of images
// and the owner are the same.
func TestStart_EqualArguments(t *testing.T) {
	t.Parallel()
	base := order("sandbox:delay=1s a fox")
	for name, change := range map[string]func(*jobs.Request){
		"owner":   func(r *jobs.Request) { r.Owner = "alice" },
		"model":   func(r *jobs.Request) { r.Model = "glm-image"; r.Quality = "hd" },
		"prompt":  func(r *jobs.Request) { r.Prompt += " " },
		"size":    func(r *jobs.Request) { r.Size = "528x512" },
		"quality": func(r *jobs.Request) { r.Quality = "hd" },
		"n":       func(r *jobs.Request) { r.N = 2 },
		"user_id": func(r *jobs.Request) { r.UserID = "somebody" },
		"nothing": func(r *jobs.Request) { r.Client, r.PriceUSD = "another", 0.02 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, r *rig) {
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
		})
	}
}

// A repeated call joins an image that was abandoned after its request was sent,
// in the same process or in another one, until the image is delivered and for
// at most fifteen minutes.
func TestStart_RepeatedCallJoins(t *testing.T) {
	t.Parallel()
	for name, elsewhere := range map[string]bool{"here": false, "in another process": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, r *rig) {
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
					assert.Equal(t, posts+1, r.sandbox.Posts(), "no second request is sent")
					if done {
						time.Sleep(16 * time.Minute) // after that, the call generates a new image
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
		})
	}
}

// A repeated call fetches the image of a process that died before the download.
func TestStart_RepeatedCallAfterCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	call, err := r.Start(t.Context(), order("sandbox:download"), nil)
	require.NoError(t, err)
	<-call.Jobs[0].Done()
	link := r.make(t, "another").UpstreamURL
	r.sql(t, `UPDATE images SET state='answered', upstream_url='`+link+`', failure='', lease_owner='dead', lease_until_ms=1 WHERE id='`+ids(call)[0]+`'`)
	repeated, err := r.another(t, nil).Start(t.Context(), order("sandbox:download"), nil)
	require.NoError(t, err)
	assert.Equal(t, ids(call), ids(repeated))
	wait(t, repeated)
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// A call that joins while the last caller abandons the image gets an image.
func TestStart_JoinRacesWithAbandon(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		for round := range 15 {
			slow, err := r.Start(t.Context(), order(fmt.Sprint("sandbox:delay=20ms first ", round)), nil)
			require.NoError(t, err)
			request := order(fmt.Sprint("contended ", round))
			first, err := r.Start(t.Context(), request, nil)
			require.NoError(t, err)
			var all sync.WaitGroup
			all.Go(first.Abandon)
			all.Go(func() {
				call, err := r.run(t.Context(), request)
				if assert.NoError(t, err) {
					wait(t, call)
				}
			})
			wait(t, slow)
			all.Wait()
		}
		assert.LessOrEqual(t, r.sandbox.Posts(), int64(30))
	})
}

// A call that joins an equal call that the budget covered only in part tries to
// generate the other images.
func TestStart_JoinsCallCutByBudget(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.BudgetUSD = 0.02 }, func(t *testing.T, r *rig) {
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
	})
}

// A call that is abandoned after its request was sent can be repeated while the
// request is in flight: the repeat joins it and gets its result or its error.
func TestStart_JoinsAbandonedCallInProgress(t *testing.T) {
	t.Parallel()
	for prompt, want := range map[string]resources.State{"sandbox:delay=1s a fox": resources.Saved, "sandbox:delay=1s sandbox:outcome_unknown": resources.Unknown} {
		t.Run(prompt, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, r *rig) {
				first, err := r.Start(t.Context(), order(prompt), nil)
				require.NoError(t, err)
				require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
				first.Abandon()
				again, err := r.Start(t.Context(), order(prompt), nil)
				require.NoError(t, err)
				assert.Equal(t, ids(first), ids(again))
				<-again.Jobs[0].Done()
				assert.Equal(t, want, again.Jobs[0].Image().State)
				assert.EqualValues(t, 1, r.sandbox.Posts())
			})
		})
	}
}

// A repeated call returns an unknown outcome that was not delivered. Only a
// call after that is paid for.
func TestStart_UnknownOutcomeBeforeRepeat(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	prompt := "sandbox:outcome_unknown"
	first, err := r.Start(t.Context(), order(prompt), nil)
	require.NoError(t, err)
	<-first.Jobs[0].Done()
	again, err := r.another(t, nil).Start(t.Context(), order(prompt), nil)
	require.NoError(t, err)
	assert.Equal(t, ids(first), ids(again))
	<-again.Jobs[0].Done()
	assert.EqualValues(t, "outcome_unknown", again.Jobs[0].Image().Failure.Kind)
	assert.EqualValues(t, 1, r.sandbox.Posts())
	r.deliver(t, ids(again)...)
	last, err := r.Start(t.Context(), order(prompt), nil)
	require.NoError(t, err)
	assert.Zero(t, last.Joined)
	<-last.Jobs[0].Done()
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// If a call for several images was abandoned when only some requests were sent,
// a repeated call gets those images and generates the others, once.
func TestStart_JoinsPartlySentCall(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		for round := range 5 {
			request := order(fmt.Sprint("sandbox:delay=60ms foxes ", round))
			request.N = 3
			first, err := r.Start(t.Context(), request, nil)
			require.NoError(t, err)
			require.Eventually(t, func() bool { return r.sandbox.Accepted() == int64(3*round+1) }, 5*time.Second, time.Millisecond)
			first.Abandon()
			var made []string
			for range 3 {
				again, err := r.run(t.Context(), request)
				require.NoError(t, err)
				require.Len(t, again.Jobs, 3)
				wait(t, again)
				made = append(made, fmt.Sprint(ids(again)))
			}
			assert.EqualValues(t, 3*round+3, r.sandbox.Posts())
			assert.Equal(t, made[0], made[1])
			assert.Equal(t, made[0], made[2])
			assert.Contains(t, made[0], ids(first)[0])
		}
	})
}
