package jobs_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// A call that is abandoned before its request is sent costs nothing.
func TestAbandon_BeforeSend(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		for range 20 {
			j, err := r.start(t.Context(), order("sandbox:upstream"), func(s jobs.Stage) {
				if s.Phase == jobs.PhaseQueued {
					time.Sleep(2 * time.Millisecond) // lets the caller abandon it first
				}
			})
			require.NoError(t, err)
			j.Abandon()
			<-j.Done()
			assert.EqualValues(t, "cancelled", j.Image().Failure.Kind)
			assert.False(t, j.Image().Charged)
		}
		assert.Zero(t, r.sandbox.Posts())
	})
}

// A panic in one job fails its image, which stays charged, and no other one.
func TestRun_Panic(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	j, err := r.start(t.Context(), order("a fox"), func(s jobs.Stage) {
		if s.Phase == jobs.PhaseDownloading {
			panic("secret")
		}
	})
	require.NoError(t, err)
	<-j.Done()
	image := j.Image()
	assert.EqualValues(t, "internal", image.Failure.Kind)
	assert.NotContains(t, image.Failure.Message+image.Failure.Hint, "secret")
	assert.True(t, image.Charged)
	assert.Equal(t, resources.Saved, r.make(t, "the next").State)
}

// If the folder is deleted while an image is queued, the image fails before its
// request is sent.
func TestRun_FolderGoneInQueue(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "it changes the folder")
	r := newRig(t, nil)
	j, err := r.start(t.Context(), order("a fox"), func(s jobs.Stage) {
		if s.Phase == jobs.PhaseQueued {
			assert.NoError(t, os.RemoveAll(r.folder))
		}
	})
	require.NoError(t, err)
	<-j.Done()
	assert.EqualValues(t, "storage", j.Image().Failure.Kind)
	assert.Zero(t, r.sandbox.Posts())
}

// A response that could not be interpreted is kept with the image.
func TestRun_AnswerNotUnderstood(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	image := r.make(t, "sandbox:no_picture")
	assert.Equal(t, resources.Unknown, image.State)
	assert.Contains(t, image.UpstreamAnswer, `"data":[]`)
}

// An image that one of two callers abandons is generated for the other one. It
// is not generated if both abandon it before its request is sent.
func TestAbandon_OneOfTwoCallers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		slow, err := r.Start(t.Context(), order("sandbox:delay=500ms first"), nil)
		require.NoError(t, err)
		var calls []*jobs.Call
		for range 2 {
			for _, prompt := range []string{"one caller", "no caller"} {
				call, err := r.Start(t.Context(), order(prompt), nil)
				require.NoError(t, err)
				calls = append(calls, call)
			}
		}
		calls[0].Abandon()
		calls[1].Abandon()
		calls[3].Abandon()
		<-calls[3].Jobs[0].Done()
		assert.EqualValues(t, "cancelled", calls[1].Jobs[0].Image().Failure.Kind)
		started, err := r.Start(t.Context(), order("no caller"), nil)
		require.NoError(t, err)
		assert.Zero(t, started.Joined, "an abandoned image is not joined")
		started.Abandon()
		wait(t, slow)
		assert.Equal(t, ids(calls[0]), ids(calls[2]))
		wait(t, calls[2])
		<-started.Jobs[0].Done()
		assert.EqualValues(t, 2, r.sandbox.Posts())
	})
}

// Run gives up after a few starts.
func TestRun_GivesUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		other := r.another(t, nil)
		slow, err := r.Start(t.Context(), order("sandbox:delay=5s first"), nil)
		require.NoError(t, err)
		starts := 0
		var abandoned *jobs.Call
		contend := func() {
			abandoned, err = r.Start(t.Context(), order("contended"), nil)
			require.NoError(t, err)
		}
		contend()
		call, err := other.Run(t.Context(), order("contended"), nil, func(call *jobs.Call) error {
			starts++
			abandoned.Abandon()
			<-call.Jobs[0].Done()
			contend()
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, 5, starts)
		assert.EqualValues(t, "cancelled", call.Jobs[0].Image().Failure.Kind)
		abandoned.Abandon()
		wait(t, slow)
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}
