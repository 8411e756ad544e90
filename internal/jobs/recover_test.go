package jobs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Recovery of an image in each state in which a process can leave it.
func TestRecover_States(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	link := r.make(t, "a fox").UpstreamURL
	task, err := r.Client.Submit(t.Context(), zai.ImageRequest{Model: "glm-image", Prompt: "a poster", Size: "512x512"})
	require.NoError(t, err)
	failed, err := r.Client.Submit(t.Context(), zai.ImageRequest{Model: "glm-image", Prompt: "sandbox:task_failed", Size: "512x512"})
	require.NoError(t, err)
	posts := r.sandbox.Posts()
	tests := map[string]struct {
		left    resources.Image
		state   resources.State
		charged bool
		kind    string
	}{
		"queued":                 {resources.Image{State: resources.Queued}, resources.Failed, false, "cancelled"},
		"submitted":              {resources.Image{State: resources.Submitted}, resources.Unknown, true, "outcome_unknown"},
		"submitted, with a task": {resources.Image{State: resources.Submitted, TaskID: task.ID}, resources.Saved, true, ""},
		"the task failed":        {resources.Image{State: resources.Submitted, TaskID: failed.ID}, resources.Failed, false, "content_blocked"},
		"answered":               {resources.Image{State: resources.Answered, UpstreamURL: link}, resources.Saved, true, ""},
		"answered, without link": {resources.Image{State: resources.Answered}, resources.Unknown, true, "outcome_unknown"},
		"could not be fetched":   {resources.Image{State: resources.Answered, UpstreamURL: link, Failure: &resources.Failure{Kind: "download"}}, resources.Saved, true, ""},
		"unknown":                {resources.Image{State: resources.Unknown, Failure: &resources.Failure{Kind: "outcome_unknown"}}, resources.Unknown, true, "outcome_unknown"},
	}
	want := map[string]string{}
	for name, tt := range tests {
		tt.left.Prompt, tt.left.CostMicroUSD = name, 10_000
		want[r.abandoned(t, tt.left).ID] = name
	}
	list, err := r.Recover(t.Context(), false)
	require.NoError(t, err)
	assert.Len(t, list, len(tests)-1)
	for _, j := range list {
		<-j.Done()
	}
	for id, name := range want {
		image, tt := r.image(t, id), tests[name]
		assert.Equal(t, tt.state, image.State, name)
		assert.Equal(t, tt.charged, image.Charged, name)
		if tt.kind == "" {
			assert.Nil(t, image.Failure, name)
			_, err := r.Library.Read(t.Context(), image)
			require.NoError(t, err, name)
			continue
		}
		require.NotNil(t, image.Failure, name)
		assert.EqualValues(t, tt.kind, image.Failure.Kind, name)
	}
	assert.Equal(t, posts, r.sandbox.Posts(), "recovery is free")
	again, err := r.Recover(t.Context(), false)
	require.NoError(t, err)
	assert.Empty(t, again)
}

// Images of a live process are never taken over, however long they take; those
// of a dead one are, once its lease expires.
func TestLeases_AliveAndDead(t *testing.T) {
	t.Parallel()
	const lease = 600 * time.Millisecond
	inBubble(t, func(c *jobs.Config) { c.Lease, c.MaxConcurrent = lease, 2 }, func(t *testing.T, alive *rig) {
		other := alive.another(t, func(c *jobs.Config) { c.Lease = lease })
		var calls []*jobs.Call
		for n := range 4 { // two of them are queued
			call, err := alive.Start(t.Context(), order(fmt.Sprint("sandbox:delay=2s ", n)), nil)
			require.NoError(t, err)
			calls = append(calls, call)
		}
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			taken, err := other.Recover(t.Context(), true)
			require.NoError(t, err)
			require.Empty(t, taken)
		}
		for _, call := range calls {
			wait(t, call)
		}
		assert.EqualValues(t, 4, alive.sandbox.Posts())

		reserved, err := other.Library.Reserve(t.Context(), resources.Reservation{
			Images: []resources.Image{{Owner: "local", State: resources.Submitted, Prompt: "x"}}, Count: 1,
			Lease: resources.Lease{Process: "dead soon", Until: time.Now().Add(lease)},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go other.RunRecovery(ctx)
		started := time.Now()
		require.Eventually(t, func() bool { return other.image(t, reserved.New[0].ID).State == resources.Unknown }, 10*time.Second, 10*time.Millisecond)
		assert.Greater(t, time.Since(started), lease/2, "not before its lease expires")
	})
}

// A process that was suspended for long, as by a laptop's lid, lost its images
// to another one. It sends no request afterwards that it had not sent before.
func TestLeases_TakenOverWhileAlive(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		other := r.another(t, nil)
		first, err := r.Start(t.Context(), order("sandbox:delay=1s first"), nil)
		require.NoError(t, err)
		waits, err := r.Start(t.Context(), order("waits"), nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
		r.sql(t, `UPDATE images SET lease_until_ms=1`)
		taken, err := other.Recover(t.Context(), false)
		require.NoError(t, err)
		require.Empty(t, taken, "the process still holds its lock file")
		require.NoError(t, os.RemoveAll(filepath.Join(r.folder, ".processes")))
		taken, err = other.Recover(t.Context(), false)
		require.NoError(t, err)
		require.Len(t, taken, 2)
		for _, j := range taken {
			<-j.Done()
		}
		assert.Equal(t, resources.Unknown, r.image(t, ids(first)[0]).State)
		wait(t, first) // its request had been sent, and the response came
		assert.Equal(t, resources.Saved, r.image(t, ids(first)[0]).State, "the downloaded image counts")
		<-waits.Jobs[0].Done()
		assert.Equal(t, resources.Failed, r.image(t, ids(waits)[0]).State)
		assert.False(t, r.image(t, ids(waits)[0]).Charged)
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}

// A process that was suspended right before it sends a request checks that it
// still has the image.
func TestLeases_SuspendedBeforeSend(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.Lease = 400 * time.Millisecond }, func(t *testing.T, r *rig) {
		r.make(t, "a fox")
		call, err := r.Start(t.Context(), order("an owl"), func(s jobs.Stage) {
			if s.Phase == jobs.PhaseQueued {
				time.Sleep(300 * time.Millisecond)
				r.sql(t, `UPDATE images SET state='unknown' WHERE prompt='an owl'`)
			}
		})
		require.NoError(t, err)
		<-call.Jobs[0].Done()
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}

// The next process resumes images that a shutdown cut off.
func TestDrain_NextProcessResumes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		request jobs.Request
		state   resources.State // after the shutdown
		end     resources.State
	}{
		"one long request": {order("sandbox:delay=2s a fox"), resources.Unknown, resources.Unknown},
		"a task":           {poster("sandbox:delay=2s a poster"), resources.Submitted, resources.Saved},
		"a download":       {order("sandbox:download a fox"), resources.Answered, resources.Answered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, r *rig) {
				next := r.another(t, nil)
				call, err := r.Start(t.Context(), tt.request, nil)
				require.NoError(t, err)
				j := call.Jobs[0]
				require.Eventually(t, func() bool {
					return j.Stage().Phase == jobs.PhaseDownloading || tt.end != resources.Answered && r.sandbox.Accepted() == 1
				}, 5*time.Second, time.Millisecond)
				if tt.end == resources.Saved {
					require.Eventually(t, func() bool { return j.Image().TaskID != "" }, 5*time.Second, time.Millisecond)
				}
				now, cancel := context.WithCancel(t.Context())
				cancel()
				require.Error(t, r.Drain(now))
				image := next.image(t, j.ID())
				assert.Equal(t, tt.state, image.State)
				assert.True(t, image.Charged)
				assert.Equal(t, tt.state != resources.Unknown, j.Image().Working(), "for its callers the image is still in progress")
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

// The outcomes of images that are made as tasks, with an endpoint that does not
// exist, and one that loses tasks.
func TestStart_Tasks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		state           resources.State
		posts, accepted int64
		charged         bool
	}{
		"a poster":                {resources.Saved, 1, 1, true},
		"sandbox:delay=50ms":      {resources.Saved, 1, 1, true},
		"sandbox:no_async":        {resources.Saved, 2, 1, true},
		"sandbox:too_frequent*2":  {resources.Saved, 3, 1, true},
		"sandbox:content_blocked": {resources.Failed, 1, 0, false},
		"sandbox:outcome_unknown": {resources.Unknown, 1, 1, true},
		"sandbox:hangup":          {resources.Unknown, 1, 1, true},
		"sandbox:task_failed":     {resources.Failed, 1, 1, false},
		"sandbox:task_gone":       {resources.Unknown, 1, 1, true},
	}
	for prompt, tt := range tests {
		t.Run(prompt, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			call, err := r.Start(t.Context(), poster(prompt), nil)
			require.NoError(t, err)
			<-call.Jobs[0].Done()
			image := r.image(t, ids(call)[0])
			assert.Equal(t, tt.state, image.State)
			assert.Equal(t, tt.charged, image.Charged)
			assert.Equal(t, tt.posts, r.sandbox.Posts())
			assert.Equal(t, tt.accepted, r.sandbox.Accepted())
			if prompt == "sandbox:task_gone" {
				polls := len(r.attempts())
				j, err := r.Follow(t.Context(), image, nil)
				require.NoError(t, err)
				<-j.Done()
				assert.Greater(t, len(r.attempts()), polls, "the task is polled again")
				assert.EqualValues(t, 1, r.sandbox.Posts())
			}
		})
	}
}

// The time between attempts at a download grows with the age of the image.
func TestNextTry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for age, wait := range map[time.Duration]time.Duration{
		0: time.Minute, time.Minute: time.Minute, 10 * time.Minute: 5 * time.Minute, 2 * time.Hour: time.Hour, 5 * 24 * time.Hour: 6 * time.Hour,
	} {
		assert.Equal(t, wait, jobs.NextTry(now, now.Add(-age)).Sub(now), age)
	}
	assert.Greater(t, jobs.NextTry(now, now.Add(-32*24*time.Hour)).Sub(now), 365*24*time.Hour, "the link must have expired")
}
