package jobs_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai/sandbox"
)

// heldService holds the first request for an image until release is closed and
// then rejects it because too many are in flight.
type heldService struct {
	http.Handler
	first         atomic.Bool
	held, release chan struct{}
	retryAfter    string // header of the rejection
}

func newHeldRig(t *testing.T, retryAfter string) (*rig, *heldService) {
	t.Helper()
	h := &heldService{held: make(chan struct{}), release: make(chan struct{}), retryAfter: retryAfter}
	wrap := func(next http.Handler) http.Handler { h.Handler = next; return h }
	return newServiceRig(t, sandbox.Options{}, wrap, func(c *jobs.Config) { c.BusyPause = time.Millisecond }), h
}

func (h *heldService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || h.first.Swap(true) {
		h.Handler.ServeHTTP(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	close(h.held)
	<-h.release
	if h.retryAfter != "" {
		w.Header().Set("Retry-After", h.retryAfter)
	}
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = io.WriteString(w, `{"error":{"code":"1302","message":"Rate limit reached for requests"}}`)
}

// A caller that joins an image whose first caller abandoned it while its
// request was in flight gets the image, even if the request is rejected and
// queued again.
func TestRequeue_JoinedAfterAbandon(t *testing.T) {
	t.Parallel()
	r, service := newHeldRig(t, "")
	first, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	<-service.held
	first.Abandon()
	second, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	assert.Equal(t, 1, second.Joined)
	close(service.release)
	images := wait(t, second)
	assert.Equal(t, resources.Saved, images[0].State)
	assert.EqualValues(t, 1, r.sandbox.Accepted())
}

// An image without callers is given up free of charge when its request is
// queued again. A shutdown gives the image up for all its callers.
func TestRequeue_Abandoned(t *testing.T) {
	t.Parallel()
	for name, giveUp := range map[string]func(*rig, *jobs.Call){
		"caller":   func(_ *rig, c *jobs.Call) { c.Abandon() },
		"shutdown": func(r *rig, _ *jobs.Call) { r.StopAccepting() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, service := newHeldRig(t, "")
			call, err := r.Start(t.Context(), order("a fox"), nil)
			require.NoError(t, err)
			<-service.held
			giveUp(r, call)
			close(service.release)
			<-call.Jobs[0].Done()
			i := call.Jobs[0].Image()
			assert.Equal(t, resources.Failed, i.State)
			assert.Equal(t, resources.KindCancelled, i.Failure.Kind)
			assert.False(t, i.Charged)
			assert.Zero(t, r.sandbox.Accepted())
		})
	}
}

// A rejection with a Retry-After of one hour does not occupy the model's slot
// for an hour.
func TestRequeue_LongRetryAfter(t *testing.T) {
	t.Parallel()
	r, service := newHeldRig(t, "3600")
	close(service.release)
	call, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	select {
	case <-call.Jobs[0].Done():
	case <-time.After(20 * time.Second):
		require.Fail(t, "the request is not sent again")
	}
	wait(t, call)
}
