package jobs_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
)

func TestDrain_FinishesSentRequests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var saved []string
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 2 }, func(t *testing.T, r *rig) {
		r.Subscribe(func(e jobs.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Image.State == resources.Saved {
				saved = append(saved, e.Image.ID)
			}
		})
		var list []*jobs.Job
		for n := range 3 {
			j, err := r.start(t.Context(), order(fmt.Sprintf("sandbox:delay=200ms %d", n)), nil)
			require.NoError(t, err)
			list = append(list, j)
		}
		require.Eventually(t, func() bool { return r.sandbox.Posts() == 2 }, 5*time.Second, time.Millisecond)
		require.NoError(t, r.Drain(t.Context()))
		assert.Len(t, saved, 2, "images whose requests were sent are finished")
		assert.Equal(t, resources.Failed, list[2].Image().State, "an image whose request was not sent is abandoned")
		_, err := r.start(t.Context(), order("late"), nil)
		require.ErrorIs(t, err, jobs.ErrClosing)
		assert.EqualValues(t, 2, r.sandbox.Accepted())
	})
}

func TestDrain_CutsOff(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		j, err := r.start(t.Context(), order("sandbox:delay=1500ms"), nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		require.Error(t, r.Drain(ctx))
		assert.Equal(t, resources.Unknown, j.Image().State, "it may have been billed")
		assert.True(t, j.Image().Charged)
	})
}

// The next process resumes images whose work a shutdown cut off.
func TestDrain_NextProcessResumes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		request jobs.Request
		state   resources.State // after the shutdown
		end     resources.State
	}{
		"one long request": {order("sandbox:delay=2s a fox"), resources.Unknown, resources.Unknown},
		"a task":           {poster("sandbox:delay=2s a poster"), resources.Polling, resources.Saved},
		"a download":       {order("sandbox:download a fox"), resources.Answered, resources.FetchFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, r *rig) {
				next := r.another(t, nil)
				call, err := r.Start(t.Context(), tt.request, nil)
				require.NoError(t, err)
				j := call.Jobs[0]
				require.Eventually(t, func() bool {
					return j.Stage().Phase == jobs.PhaseDownloading || tt.end != resources.FetchFailed && r.sandbox.Accepted() == 1
				}, 5*time.Second, time.Millisecond)
				if tt.end == resources.Saved {
					require.Eventually(t, func() bool { return j.Image().TaskID != "" }, 5*time.Second, time.Millisecond)
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				require.Error(t, r.Drain(ended))
				image := next.image(t, j.ID())
				assert.Equal(t, tt.state, image.State)
				assert.True(t, image.Charged)
				assert.Equal(t, tt.state != resources.Unknown, j.Image().Working(), "callers see an image that is still in progress")
				list, err := next.Recover(t.Context(), false)
				require.NoError(t, err)
				for _, j := range list {
					<-j.Done()
				}
				assert.Equal(t, tt.end, next.image(t, j.ID()).State)
				assert.EqualValues(t, 1, r.sandbox.Posts())
			})
		})
	}
}
