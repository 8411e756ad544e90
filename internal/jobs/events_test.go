package jobs_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
)

// recorder collects events.
type recorder struct {
	mu     sync.Mutex
	events []jobs.Event
}

func (r *recorder) record(e jobs.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) all() []jobs.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]jobs.Event{}, r.events...)
}

// Each subscriber receives one event per image, even if another one panics, and
// none after its subscription is cancelled.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	var first, second recorder
	cancel := r.Subscribe(func(jobs.Event) { panic("subscriber") })
	defer cancel()
	cancelFirst := r.Subscribe(first.record)
	r.Subscribe(second.record)
	made := r.make(t, "a fox")
	require.Eventually(t, func() bool { return len(second.all()) == 1 }, 5*time.Second, time.Millisecond)
	assert.Equal(t, []jobs.Event{{Image: undelivered(made)}}, second.all())
	assert.Len(t, first.all(), 1)
	cancelFirst()
	r.make(t, "another fox")
	require.Eventually(t, func() bool { return len(second.all()) == 2 }, 5*time.Second, time.Millisecond)
	assert.Len(t, first.all(), 1)
}

// undelivered returns an image as it was before its delivery.
func undelivered(i resources.Image) resources.Image {
	i.Delivered = false
	return i
}

// An image of another process is reported once, even if several calls wait for
// it.
func TestSubscribe_Remote(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.WatchInterval = time.Millisecond }, func(t *testing.T, r *rig) {
		var seen recorder
		r.Subscribe(seen.record)
		remote := r.submitted(t, resources.Lease{Process: "another", For: time.Minute})
		var followers []*jobs.Job
		for range 3 {
			j, err := r.Follow(t.Context(), remote, nil)
			require.NoError(t, err)
			followers = append(followers, j)
		}
		saved, err := r.Library.Save(t.Context(), remote, resources.Content{Reader: strings.NewReader("x"), MIMEType: "image/png", Extension: ".png", Width: 9, Height: 9}, "another")
		require.NoError(t, err)
		for _, j := range followers {
			<-j.Done()
			assert.Equal(t, resources.Saved, j.Image().State)
		}
		time.Sleep(time.Minute) // in which the image is not reported again
		require.Len(t, seen.all(), 1)
		assert.Equal(t, saved.ID, seen.all()[0].Image.ID)
		assert.True(t, seen.all()[0].Remote)
	})
}

// An image that this process takes over from a dead one is reported once, as
// resumed, even if several calls waited for it.
func TestSubscribe_TakenOver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.WatchInterval = time.Millisecond }, func(t *testing.T, r *rig) {
		link := r.make(t, "a fox").UpstreamURL
		var seen recorder
		r.Subscribe(seen.record)
		i := r.submitted(t, resources.Lease{})
		r.sqlf(t, `UPDATE images SET lease_owner='another', lease_until_ms=%d WHERE id='%s'`, time.Now().Add(time.Minute).UnixMilli(), i.ID)
		var followers []*jobs.Job
		for range 3 {
			j, err := r.Follow(t.Context(), i, nil)
			require.NoError(t, err)
			followers = append(followers, j)
		}
		i.State, i.UpstreamURL = resources.Answered, link
		require.NoError(t, r.Library.Catalog().Record(t.Context(), i, resources.Guard{}))
		r.sqlf(t, `UPDATE images SET lease_until_ms=1 WHERE id='%s'`, i.ID)
		for _, j := range followers {
			<-j.Done()
			assert.Equal(t, resources.Saved, j.Image().State)
		}
		require.NoError(t, r.Drain(t.Context()))
		require.Len(t, seen.all(), 1)
		assert.True(t, seen.all()[0].Resumed)
		assert.False(t, seen.all()[0].Remote)
	})
}

// Detach may be called more than once.
func TestDetach(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	select {
	case <-r.Detached():
		require.Fail(t, "detached from the start")
	default:
	}
	r.Detach()
	r.Detach()
	<-r.Detached()
}

// The charge of an image is reported once, even if the image is fetched several
// times.
func TestSubscribe_ChargedOnce(t *testing.T) {
	t.Parallel()
	charged := make(chan bool, 10)
	r := newRig(t, nil)
	r.Subscribe(func(e jobs.Event) { charged <- e.Image.Charged && !e.Resumed })
	image := r.make(t, "sandbox:page*8")
	require.Equal(t, resources.FetchFailed, image.State)
	assert.True(t, <-charged)
	for range 2 {
		j, err := r.Follow(t.Context(), image, nil)
		require.NoError(t, err)
		<-j.Done()
		assert.False(t, <-charged)
	}
}

// A process hears once of each image that another one finished, soon after, also if
// it does not wait for it.
func TestReplicas_Events(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		other := r.another(t, nil)
		r.make(t, "before")
		var here, there recorder
		r.Subscribe(here.record)
		other.Subscribe(there.record)
		r.Watch()
		other.Watch()
		time.Sleep(time.Second)
		saved, failed := r.make(t, "a fox"), r.make(t, "sandbox:no_balance")
		time.Sleep(time.Minute) // in which they are not reported again
		var heard []string
		for _, e := range there.all() {
			assert.True(t, e.Remote)
			heard = append(heard, fmt.Sprint(e.Image.ID, " ", e.Image.State))
		}
		assert.Equal(t, []string{fmt.Sprint(saved.ID, " saved"), fmt.Sprint(failed.ID, " failed")}, heard)
		assert.Len(t, here.all(), 2)
		for _, e := range here.all() {
			assert.False(t, e.Remote, "a process hears of its own images as such, and once")
		}
	})
}
