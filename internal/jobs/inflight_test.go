package jobs_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai/sandbox"
)

// busyService rejects the first requests as the service does when too many are
// in flight.
type busyService struct {
	http.Handler
	code    string
	refuse  atomic.Int64
	refused atomic.Int64
}

func (b *busyService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && b.refuse.Add(-1) >= 0 {
		b.refused.Add(1)
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"error":{"code":"`+b.code+`","message":"Rate limit reached for requests"}}`)
		return
	}
	b.Handler.ServeHTTP(w, r)
}

func newBusyRig(t *testing.T, code string, refuse int64, pause time.Duration) (*rig, *busyService) {
	t.Helper()
	b := &busyService{code: code}
	b.refuse.Store(refuse)
	wrap := func(next http.Handler) http.Handler { b.Handler = next; return b }
	return newServiceRig(t, sandbox.Options{}, wrap, func(c *jobs.Config) { c.BusyPause = pause }), b
}

// A request that is rejected because too many are in flight is sent again, more
// often than after other failures.
func TestRun_TooManyInFlight(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"1302", "1305"} {
		for _, model := range []string{"cogview-4-250304", "glm-image"} {
			t.Run(code+" "+model, func(t *testing.T) {
				t.Parallel()
				r, busy := newBusyRig(t, code, 9, time.Millisecond)
				var phases []jobs.Phase
				request := order("a fox")
				request.Model, request.Quality, request.Size = model, "hd", "512x512"
				j, err := r.start(t.Context(), request, func(s jobs.Stage) { phases = append(phases, s.Phase) })
				require.NoError(t, err)
				<-j.Done()
				assert.Equal(t, resources.Saved, j.Image().State)
				assert.EqualValues(t, 9, busy.refused.Load())
				assert.EqualValues(t, 1, r.sandbox.Accepted())
				assert.Equal(t, []jobs.Phase{jobs.PhaseQueued, jobs.PhaseGenerating, jobs.PhaseQueued}, phases[:3], "the image goes back to the queue")
			})
		}
	}
}

// While a request waits after such a rejection, its image can be abandoned free
// of charge.
func TestRun_TooManyInFlightAbandoned(t *testing.T) {
	t.Parallel()
	r, busy := newBusyRig(t, "1302", 1<<40, time.Hour)
	requeued := make(chan struct{}, 2)
	j, err := r.start(t.Context(), order("a fox"), func(s jobs.Stage) {
		if s.Phase == jobs.PhaseQueued {
			requeued <- struct{}{}
		}
	})
	require.NoError(t, err)
	<-requeued
	<-requeued
	assert.Equal(t, resources.Queued, r.image(t, j.ID()).State)
	j.Abandon()
	<-j.Done()
	assert.EqualValues(t, "cancelled", j.Image().Failure.Kind)
	assert.False(t, j.Image().Charged)
	assert.EqualValues(t, 1, busy.refused.Load())
}

// Each model has a limit of its own, by default that of the model table.
func TestStart_LimitPerModel(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		max          int
		cogview, glm int64
	}{
		"auto":   {0, 5, 1},
		"number": {2, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := &countingService{release: make(chan struct{})}
			wrap := func(next http.Handler) http.Handler { service.Handler = next; return service }
			r := newServiceRig(t, sandbox.Options{MaxConcurrent: sandbox.Unlimited}, wrap, func(c *jobs.Config) { c.MaxConcurrent = tt.max })
			var calls []*jobs.Call
			for _, model := range []string{"cogview-4-250304", "glm-image"} {
				for n := range 8 {
					request := order(model + strings.Repeat(".", n))
					request.Model, request.Quality, request.Size = model, "hd", "512x512"
					call, err := r.Start(t.Context(), request, nil)
					require.NoError(t, err)
					calls = append(calls, call)
				}
			}
			require.Eventually(t, func() bool { return service.cogview.Load() == tt.cogview && service.glm.Load() == tt.glm }, 10*time.Second, time.Millisecond)
			close(service.release)
			for _, call := range calls {
				wait(t, call)
			}
			assert.Equal(t, tt.cogview, service.cogview.Load(), "in flight at once")
			assert.Equal(t, tt.glm, service.glm.Load(), "in flight at once")
		})
	}
}

// countingService holds requests until release is closed and counts the ones
// that it holds, by model.
type countingService struct {
	http.Handler
	release      chan struct{}
	cogview, glm atomic.Int64
}

func (c *countingService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		select {
		case <-c.release:
		default:
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			if strings.Contains(string(body), "glm-image") {
				c.glm.Add(1)
			} else {
				c.cogview.Add(1)
			}
			<-c.release
		}
	}
	c.Handler.ServeHTTP(w, r)
}

// A task that is resumed after a crash counts as in flight: no other request of
// its model is sent until it is finished.
func TestRecover_TaskOccupiesSlot(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		request := order("sandbox:delay=300ms first")
		request.Model, request.Quality, request.Size = "glm-image", "hd", "512x512"
		first, err := r.start(t.Context(), request, nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return first.Image().TaskID != "" }, 10*time.Second, time.Millisecond)
		r.sqlf(t, `UPDATE images SET lease_owner='dead', lease_until_ms=1`)
		next := r.another(t, func(c *jobs.Config) { c.MaxConcurrent = 0 })
		taken, err := next.Recover(t.Context(), true)
		require.NoError(t, err)
		require.Len(t, taken, 1)
		request.Prompt = "second"
		second, err := next.start(t.Context(), request, nil)
		require.NoError(t, err)
		assert.Equal(t, resources.Queued, second.Image().State)
		<-second.Done()
		select {
		case <-taken[0].Done():
		default:
			t.Error("the second request was sent while the first was in flight")
		}
		<-first.Done()
	})
}

// A call for four images of glm-image, which the service takes one at a time,
// succeeds without a rejection. Two processes that do not share a catalog
// succeed too, because rejected requests wait and are sent again.
func TestStart_FourOfGLMImage(t *testing.T) {
	t.Parallel()
	for name, processes := range map[string]int{"one process": 1, "two processes": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := testrig.API(t, func(a *testrig.APIOptions) { a.Sandbox = sandbox.Options{} })
			var calls []*jobs.Call
			for range processes {
				r := testrig.Pipeline(t, testrig.Options{API: service, Jobs: func(c *jobs.Config) { c.MaxConcurrent, c.BusyPause = 0, time.Millisecond }})
				request := order("a poster sandbox:delay=20ms")
				request.Model, request.Quality, request.Size, request.N = "glm-image", "hd", "512x512", 4
				call, err := r.Start(t.Context(), request, nil)
				require.NoError(t, err)
				calls = append(calls, call)
			}
			for _, call := range calls {
				for _, image := range wait(t, call) {
					assert.Equal(t, resources.Saved, image.State)
				}
			}
			assert.EqualValues(t, 4*processes, service.Accepted())
			assert.Equal(t, 1, service.MostInFlight("glm-image"))
			if processes == 1 {
				assert.Zero(t, service.Refused())
			}
		})
	}
}
