package jobs_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// busyService refuses the first requests as the service does when too many are
// in flight.
type busyService struct {
	*sandbox.Sandbox
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
	b.Sandbox.ServeHTTP(w, r)
}

func newBusyRig(t *testing.T, code string, refuse int64, change func(*jobs.Config)) (*rig, *busyService) {
	t.Helper()
	b := &busyService{Sandbox: sandbox.New(sandbox.Options{}), code: code}
	b.refuse.Store(refuse)
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	client, err := zai.NewClient("key", zai.WithBaseURL(server.URL+sandbox.BasePath))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	r := newRig(t, func(c *jobs.Config) {
		c.Client, c.BusyPause = client, time.Millisecond
		if change != nil {
			change(c)
		}
	})
	return r, b
}

// A request that is refused because too many are in flight waits and is sent
// again, more often than any other failure is tried again.
func TestMake_TooManyInFlight(t *testing.T) {
	for _, code := range []string{"1302", "1305"} {
		for _, model := range []string{"cogview-4-250304", "glm-image"} {
			t.Run(code+" "+model, func(t *testing.T) {
				r, busy := newBusyRig(t, code, 9, nil)
				var phases []jobs.Phase
				request := order("a fox")
				request.Model, request.Quality, request.Size = model, "hd", "1024x1024"
				j, err := r.start(t.Context(), request, func(s jobs.Stage) { phases = append(phases, s.Phase) })
				require.NoError(t, err)
				<-j.Done()
				assert.Equal(t, resources.Saved, j.Image().State)
				assert.EqualValues(t, 9, busy.refused.Load())
				assert.EqualValues(t, 1, busy.Accepted())
				assert.Equal(t, []jobs.Phase{jobs.PhaseQueued, jobs.PhaseGenerating, jobs.PhaseQueued}, phases[:3], "it goes back to the queue")
			})
		}
	}
}

// While it waits it can be given up, free of charge.
func TestMake_TooManyInFlightAbandoned(t *testing.T) {
	r, busy := newBusyRig(t, "1302", 1<<40, func(c *jobs.Config) { c.BusyPause = time.Hour })
	requeued := make(chan struct{}, 2)
	j, err := r.start(t.Context(), order("a fox"), func(s jobs.Stage) {
		if s.Phase == jobs.PhaseQueued {
			requeued <- struct{}{}
		}
	})
	require.NoError(t, err)
	<-requeued
	<-requeued
	assert.Equal(t, resources.Queued, r.row(t, j.ID()).State)
	j.Abandon()
	<-j.Done()
	assert.EqualValues(t, "cancelled", j.Image().Failure.Kind)
	assert.False(t, j.Image().Charged)
	assert.EqualValues(t, 1, busy.refused.Load())
}

// Each model has its own limit, which the model table knows.
func TestStart_LimitPerModel(t *testing.T) {
	for name, tt := range map[string]struct {
		max          int
		cogview, glm int64
	}{
		"auto":   {0, 5, 1},
		"number": {2, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := &countingService{Sandbox: sandbox.New(sandbox.Options{MaxConcurrent: sandbox.Unlimited}), release: make(chan struct{})}
			server := httptest.NewServer(service)
			defer server.Close()
			client, err := zai.NewClient("key", zai.WithBaseURL(server.URL+sandbox.BasePath))
			require.NoError(t, err)
			defer client.Close()
			r := newRig(t, func(c *jobs.Config) { c.Client, c.MaxConcurrent = client, tt.max })
			var calls []*jobs.Call
			for _, model := range []string{"cogview-4-250304", "glm-image"} {
				for n := range 8 {
					request := order(model + strings.Repeat(".", n))
					request.Model, request.Quality, request.Size = model, "hd", "1024x1024"
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
			assert.Equal(t, tt.cogview, service.cogview.Load(), "at once")
			assert.Equal(t, tt.glm, service.glm.Load(), "at once")
		})
	}
}

// countingService holds requests until release is closed, and counts how many
// came before.
type countingService struct {
	*sandbox.Sandbox
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
	c.Sandbox.ServeHTTP(w, r)
}

// A task that is resumed after a crash still counts as in flight: no other
// request of its model is sent until it is finished.
func TestRecover_TaskOccupiesSlot(t *testing.T) {
	r := newRig(t, nil)
	request := order("sandbox:delay=300ms first")
	request.Model, request.Quality, request.Size = "glm-image", "hd", "1024x1024"
	first, err := r.start(t.Context(), request, nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return first.Image().TaskID != "" }, 10*time.Second, time.Millisecond)
	r.sqlf(t, `UPDATE images SET lease_owner='dead', lease_until_ms=1`)
	heir := r.another(t, func(c *jobs.Config) { c.MaxConcurrent = 0 })
	taken, err := heir.Recover(t.Context(), true)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	request.Prompt = "second"
	second, err := heir.start(t.Context(), request, nil)
	require.NoError(t, err)
	assert.Equal(t, resources.Queued, second.Image().State)
	<-second.Done()
	select {
	case <-taken[0].Done():
	default:
		t.Error("the second was made while the first was in flight")
	}
	<-first.Done()
}

// n=4 of glm-image, which the service takes one at a time, is four images and
// not one refusal; two processes that do not know of each other get there too,
// as what is refused waits.
func TestStart_FourOfGLMImage(t *testing.T) {
	for name, processes := range map[string]int{"one process": 1, "two processes": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := sandbox.New(sandbox.Options{})
			server := httptest.NewServer(service)
			defer server.Close()
			var calls []*jobs.Call
			for range processes {
				client, err := zai.NewClient("key", zai.WithBaseURL(server.URL+sandbox.BasePath))
				require.NoError(t, err)
				defer client.Close()
				r := newRig(t, func(c *jobs.Config) { c.Client, c.MaxConcurrent, c.BusyPause = client, 0, time.Millisecond })
				request := order("a poster sandbox:delay=20ms")
				request.Model, request.Quality, request.Size, request.N = "glm-image", "hd", "1024x1024", 4
				call, err := r.Start(t.Context(), request, nil)
				require.NoError(t, err)
				calls = append(calls, call)
			}
			for _, call := range calls {
				for _, row := range wait(t, call) {
					assert.Equal(t, resources.Saved, row.State)
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
