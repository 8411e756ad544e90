package replicas

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// Equal calls at the same time share one image, over all replicas.
func TestJoin_EqualCalls(t *testing.T) {
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		t.Parallel()
		u := newUpstream(t)
		f := newFleet(t, 4, newPlace(t), u)
		const prompt = "the same image for all"
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var mu sync.Mutex
		ids := map[string]bool{}
		var all, joined sync.WaitGroup
		joined.Add(100)
		u.beforePost(prompt, joined.Wait) // the image is not finished before all calls have joined
		for caller := range 100 {
			all.Go(func() {
				o := f.replicas[caller%4].follow(ctx, "alice", prompt, joined.Done)
				assert.Equal(t, "saved", o.status, "%s, %v", o.said(), o.err)
				mu.Lock()
				defer mu.Unlock()
				ids[o.id] = true
			})
		}
		all.Wait()
		assert.Len(t, ids, 1)
		assert.Equal(t, 1, u.postsFor(prompt))
	})
}

// A call that is repeated on another replica, after its replica was killed, returns the
// same image.
func TestJoin_ReplicaKilled(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		t.Parallel()
		for name, tt := range map[string]struct {
			model, prompt string
			armed         func(t *testing.T, u *upstream, prompt string, reached chan<- bool)
			unknown       bool // whether the image was paid for is not known
		}{
			"during the request": {cogview, "sandbox:delay=5s killed during the request", func(_ *testing.T, u *upstream, prompt string, reached chan<- bool) {
				u.beforePost(prompt, func() { close(reached) })
			}, true},
			"while its task is polled": {glm, "sandbox:delay=8s killed while its task is polled", func(_ *testing.T, u *upstream, _ string, reached chan<- bool) {
				u.beforePoll(func() { close(reached) })
			}, false},
			"during the download": {cogview, "killed during the download", func(t *testing.T, u *upstream, _ string, reached chan<- bool) {
				u.beforeImage(func() { close(reached); <-t.Context().Done() })
			}, false},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				u := newUpstream(t)
				f := newFleet(t, 2, newPlace(t), u)
				reached, ended := make(chan bool), make(chan outcome, 1)
				tt.armed(t, u, tt.prompt, reached)
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
				defer cancel()
				go func() { ended <- f.replicas[0].generate(ctx, "alice", tt.model, tt.prompt) }()
				<-reached
				id := ""
				l := f.place.library(t)
				require.Eventually(t, func() bool {
					list := images(t, l, "alice")[tt.prompt]
					if len(list) == 1 {
						id = list[0].ID
					}
					return id != ""
				}, 10*time.Second, 10*time.Millisecond)
				f.replicas[0].kill()
				killed := time.Now()
				assert.Equal(t, "connection", (<-ended).kind)
				o := f.replicas[1].finish(ctx, "alice", f.replicas[1].generate(ctx, "alice", tt.model, tt.prompt))
				t.Logf("after %.1f s the second replica answers: %s", time.Since(killed).Seconds(), o.said())
				if tt.unknown {
					assert.Equal(t, "outcome_unknown", o.kind, "%v", o.err)
				} else {
					assert.Equal(t, "saved", o.status, "%s, %v", o.said(), o.err)
					assert.Equal(t, id, o.id)
				}
				assert.Equal(t, 1, u.postsFor(tt.prompt))
				list := images(t, l, "alice")[tt.prompt]
				if assert.Len(t, list, 1) {
					assert.Equal(t, tt.unknown, list[0].State == resources.Unknown)
				}
			})
		}
	})
}

// A subscriber of one replica hears of an image that another one makes.
func TestEvents_OtherReplica(t *testing.T) {
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		t.Parallel()
		u := newUpstream(t)
		f := newFleet(t, 2, newPlace(t), u)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, r := range f.replicas { // from now on, both know that there is a catalog
			require.Equal(t, "saved", r.generate(ctx, "alice", cogview, "made by "+r.address).status)
		}
		changes := f.replicas[1].listen(ctx, t, "alice", `"resourcesListChanged":true`)
		var worst time.Duration
		for n := range 5 {
			o := f.replicas[0].generate(ctx, "alice", cogview, fmt.Sprint("heard of ", n))
			made := time.Now()
			require.Equal(t, "saved", o.status, "%v", o.err)
			select {
			case m := <-changes:
				assert.Equal(t, "notifications/resources/list_changed", m.Method)
			case <-ctx.Done():
				require.Fail(t, "the subscriber hears nothing")
			}
			worst = max(worst, time.Since(made))
		}

		// A subscription to one image that another replica makes.
		release := make(chan bool)
		const prompt = "an image that is subscribed to"
		u.beforePost(prompt, func() { <-release })
		result := make(chan outcome, 1)
		go func() { result <- f.replicas[0].generate(ctx, "alice", cogview, prompt) }()
		l, uri := f.place.library(t), ""
		require.Eventually(t, func() bool {
			if list := images(t, l, "alice")[prompt]; len(list) == 1 {
				uri = "zai-image://images/" + list[0].ID
			}
			return uri != ""
		}, 10*time.Second, 10*time.Millisecond)
		updates := f.replicas[1].listen(ctx, t, "alice", fmt.Sprintf(`"resourceSubscriptions":[%q]`, uri))
		close(release)
		require.Equal(t, "saved", (<-result).status)
		made := time.Now()
		m := <-updates // closed when ctx ends
		assert.Equal(t, "notifications/resources/updated", m.Method)
		assert.Equal(t, uri, m.Params["uri"])
		worst = max(worst, time.Since(made))
		t.Logf("the slowest of 6 notifications came %v after the result", worst.Round(time.Millisecond))
	})
}

// listen opens subscriptions and returns the notifications.
func (r *replica) listen(ctx context.Context, t *testing.T, owner, notifications string) <-chan testrig.Message {
	t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{%s,"notifications":{%s}}}`, clientMeta, notifications)
	response, err := r.post(ctx, owner, body, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "subscriptions/listen")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	out := messages(response.Body)
	first := <-out
	require.Equal(t, "notifications/subscriptions/acknowledged", first.Method)
	return out
}
