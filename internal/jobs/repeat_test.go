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

// A call is given up after it was sent and made again while it is under way:
// it is joined at once, and its outcome, whatever it is, is told.
func TestMadeAgainWhileItIsUnderWay(t *testing.T) {
	for prompt, want := range map[string]resources.State{"sandbox:delay=1s a fox": resources.Saved, "sandbox:delay=1s sandbox:outcome_unknown": resources.Unknown} {
		t.Run(prompt, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
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
	}
}

// Nobody was told that an outcome is unknown: the same call made again is, and
// pays only when it is made once more.
func TestAnUnknownOutcomeIsToldBeforeItIsRepeated(t *testing.T) {
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

// Of several images some were sent and some not when the caller left: the
// same call made again gets those and makes the others, once.
func TestMadeAgainWithSomeSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent = 1 })
	for round := range 10 {
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
}

// A process that was asleep finds its own queued image left behind. It does
// not count as a caller of its own: who asked for it can still give it up.
func TestOwnWorkFoundAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent = 1 })
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
}

// While one process takes a row for left behind, the other wakes up and knows
// better.
func TestWhoKnowsBetter(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	row := r.left(t, resources.Image{State: resources.Submitted, CostMicroUSD: 10_000})
	r.sql(t, `UPDATE images SET lease_owner='taker', lease_until_ms=9999999999999`)
	stale := row
	row.State, row.UpstreamURL = resources.Answered, "https://x.example/a.png"
	require.NoError(t, r.Library.Record(t.Context(), row))
	stale.State, stale.Failure = resources.Unknown, &resources.Failure{Kind: "outcome_unknown"}
	require.ErrorIs(t, r.Library.RecordIf(t.Context(), stale, resources.Submitted, resources.Lease{Process: "taker"}), resources.ErrSettled)
	require.ErrorIs(t, r.Library.Record(t.Context(), stale), resources.ErrSettled)
	assert.Equal(t, "https://x.example/a.png", r.row(t, row.ID).UpstreamURL, "a link is never forgotten")
	other := r.left(t, resources.Image{State: resources.Queued})
	other.State = resources.Submitted
	require.ErrorIs(t, r.Library.RecordIf(t.Context(), other, resources.Queued, resources.Lease{Process: r.Process}), resources.ErrSettled, "it is not this process's")
}

// Tasks that never end keep nothing else from being brought home.
func TestStuckTasksHoldUpNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	link := r.make(t, "a fox").UpstreamURL
	for range 20 {
		r.left(t, resources.Image{State: resources.Submitted, TaskID: "never known"})
	}
	answered := r.left(t, resources.Image{State: resources.Answered, UpstreamURL: link})
	_, err := r.Recover(t.Context(), false)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.row(t, answered.ID).State == resources.Saved }, time.Second, 5*time.Millisecond)
}

// A task of which the service does not want to know becomes unknown, and is
// asked about again later, by whoever works on that backend.
func TestUnknownTasksAreAskedAboutAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	call, err := r.Start(t.Context(), poster("sandbox:task_gone"), nil)
	require.NoError(t, err)
	<-call.Jobs[0].Done()
	id := ids(call)[0]
	require.Equal(t, resources.Unknown, r.row(t, id).State)
	good, err := r.Client.Submit(t.Context(), zai.ImageRequest{Model: "glm-image", Prompt: "a poster", Size: "1280x1280"})
	require.NoError(t, err)
	r.sql(t, `UPDATE images SET task_id='`+good.ID+`'`)
	list, err := r.Recover(t.Context(), false)
	require.NoError(t, err)
	assert.Empty(t, list, "not at once")
	next, err := r.Library.NextClaim(t.Context(), resources.Lease{Process: "another"})
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Minute), next, 10*time.Second)
	play := r.another(t, func(c *jobs.Config) { c.Sandbox = true })
	list, err = play.Recover(t.Context(), true)
	require.NoError(t, err)
	assert.Empty(t, list, "the sandbox knows nothing of real tasks")
	list, err = r.Recover(t.Context(), true)
	require.NoError(t, err)
	require.Len(t, list, 1)
	<-list[0].Done()
	assert.Equal(t, resources.Saved, r.row(t, id).State)
}
