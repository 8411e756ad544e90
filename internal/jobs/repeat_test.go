package jobs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

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

// An unknown outcome that was not delivered is the result of a repeat of the
// call. Only the next repeat is paid for.
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
	deliberate, err := r.Start(t.Context(), order(prompt), nil)
	require.NoError(t, err)
	assert.Zero(t, deliberate.Joined)
	<-deliberate.Jobs[0].Done()
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// The caller abandoned several images when only some requests were sent: a
// repeat of the call gets those images and makes the rest, once.
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
				again, err := r.Start(t.Context(), request, nil)
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

// A process that was suspended finds its own queued image in recovery. It does
// not count as a caller: the caller can still abandon the image.
func TestRecover_OwnWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		slow, err := r.Start(t.Context(), order("sandbox:delay=500ms first"), nil)
		require.NoError(t, err)
		queued, err := r.Start(t.Context(), order("queued"), nil)
		require.NoError(t, err)
		r.sql(t, `UPDATE images SET lease_until_ms=1`)
		list, err := r.Recover(t.Context(), false)
		require.NoError(t, err)
		assert.Empty(t, list)
		queued.Abandon()
		<-queued.Jobs[0].Done()
		wait(t, slow)
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}

// A writer with an outdated view of an image does not overwrite newer state.
func TestRecord_StaleWriter(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	image := r.abandoned(t, resources.Image{State: resources.Submitted, CostMicroUSD: 10_000})
	r.sql(t, `UPDATE images SET lease_owner='taker', lease_until_ms=9999999999999`)
	stale := image
	image.State, image.UpstreamURL = resources.Answered, "https://x.example/a.png"
	require.NoError(t, r.Library.Record(t.Context(), image))
	stale.State, stale.Failure = resources.Unknown, &resources.Failure{Kind: "outcome_unknown"}
	require.ErrorIs(t, r.Library.RecordIf(t.Context(), stale, resources.Submitted, resources.Lease{Process: "taker"}), resources.ErrSettled)
	require.ErrorIs(t, r.Library.Record(t.Context(), stale), resources.ErrSettled)
	assert.Equal(t, "https://x.example/a.png", r.image(t, image.ID).UpstreamURL, "the link is kept")
	other := r.abandoned(t, resources.Image{State: resources.Queued})
	other.State = resources.Submitted
	require.ErrorIs(t, r.Library.RecordIf(t.Context(), other, resources.Queued, resources.Lease{Process: r.Process}), resources.ErrSettled, "the image is not leased by this process")
}

// Tasks that never end do not delay downloads.
func TestRecover_StuckTasks(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		link := r.make(t, "a fox").UpstreamURL
		for range 20 {
			r.abandoned(t, resources.Image{State: resources.Submitted, TaskID: "never known"})
		}
		answered := r.abandoned(t, resources.Image{State: resources.Answered, UpstreamURL: link})
		_, err := r.Recover(t.Context(), false)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return r.image(t, answered.ID).State == resources.Saved }, time.Second, 5*time.Millisecond)
	})
}

// A task that the service does not know becomes unknown and is polled again
// later, only by processes of the same backend.
func TestRecover_UnknownTask(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		call, err := r.Start(t.Context(), poster("sandbox:task_gone"), nil)
		require.NoError(t, err)
		<-call.Jobs[0].Done()
		id := ids(call)[0]
		require.Equal(t, resources.Unknown, r.image(t, id).State)
		good, err := r.Client.Submit(t.Context(), zai.ImageRequest{Model: "glm-image", Prompt: "a poster", Size: "512x512"})
		require.NoError(t, err)
		r.sql(t, `UPDATE images SET task_id='`+good.ID+`'`)
		list, err := r.Recover(t.Context(), false)
		require.NoError(t, err)
		assert.Empty(t, list, "not at once")
		next, err := r.Library.NextClaim(t.Context(), resources.Lease{Process: "another"})
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().Add(time.Minute), next, 10*time.Second)
		sandboxed := r.another(t, func(c *jobs.Config) { c.Sandbox = true })
		list, err = sandboxed.Recover(t.Context(), true)
		require.NoError(t, err)
		assert.Empty(t, list, "the sandbox does not have real tasks")
		list, err = r.Recover(t.Context(), true)
		require.NoError(t, err)
		require.Len(t, list, 1)
		<-list[0].Done()
		assert.Equal(t, resources.Saved, r.image(t, id).State)
	})
}
