package jobs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
)

// A process that died during a request may have paid for it. A repeat of the
// call within fifteen minutes reports that instead of paying again, whether the
// dead process's lease has expired or not, and whether a recovery ran in
// between or not.
func TestStart_AfterCrash(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lease  string // of the dead process, as SQL
		age    time.Duration
		joined int
		posts  int64
	}{
		"lease is valid":       {"lease_until_ms+20000", 0, 1, 0},
		"lease expired":        {"1", 0, 1, 0},
		"within 15 minutes":    {"1", 14 * time.Minute, 1, 0},
		"more than 15 minutes": {"1", 16 * time.Minute, 0, 1},
		"recovered before":     {"0", 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, dying *rig) {
				held := make(chan struct{})
				call, err := dying.Start(t.Context(), order("a fox"), func(s jobs.Stage) {
					if s.Phase == jobs.PhaseGenerating {
						<-held // the image is "submitted", but nothing is sent yet
					}
				})
				require.NoError(t, err)
				defer func() { close(held); <-call.Jobs[0].Done() }()
				age := tt.age.Milliseconds()
				require.Eventually(t, func() bool { return call.Jobs[0].Stage().Phase == jobs.PhaseGenerating }, 10*time.Second, time.Millisecond)
				dying.sqlf(t, `UPDATE images SET lease_owner='dead', lease_until_ms=%s, updated_ms=updated_ms-%d, created_ms=created_ms-%d`, tt.lease, age, age)
				next := dying.another(t, nil)
				if name == "recovered before" {
					taken, err := next.Recover(t.Context(), true)
					require.NoError(t, err)
					require.Len(t, taken, 1)
					<-taken[0].Done()
				}
				again, err := next.Start(t.Context(), order("a fox"), nil)
				require.NoError(t, err)
				assert.Equal(t, tt.joined, again.Joined)
				if name == "lease is valid" { // the call waits until the lease expires
					dying.sqlf(t, `UPDATE images SET lease_until_ms=1`)
				}
				<-again.Jobs[0].Done()
				if tt.joined == 1 {
					assert.Equal(t, resources.Unknown, again.Jobs[0].Image().State)
					assert.EqualValues(t, "outcome_unknown", again.Jobs[0].Image().Failure.Kind)
				}
				assert.Equal(t, tt.posts, dying.sandbox.Posts())
			})
		})
	}
}

// For fifteen minutes after the first failure of a download, a repeated call
// joins the image, even if the download was tried again since. After that, it
// generates a new one.
func TestStart_JoinOfFailedImageEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	watch, repair := r.breakFolder(t)
	first, err := r.start(t.Context(), order("a fox"), watch)
	require.NoError(t, err)
	<-first.Done()
	require.EqualValues(t, "storage", first.Image().Failure.Kind)
	repair()
	r.sqlf(t, `UPDATE images SET upstream_url='http://127.0.0.1:1/gone.png', updated_ms=updated_ms-%d, failed_ms=failed_ms-%d`, 14*60_000, 14*60_000)
	again, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	assert.Equal(t, 1, again.Joined)
	<-again.Jobs[0].Done()
	require.NotNil(t, again.Jobs[0].Image().Failure, "its link is dead")
	r.sqlf(t, `UPDATE images SET failed_ms=failed_ms-%d`, 2*60_000)
	last, err := r.Start(t.Context(), order("a fox"), nil)
	require.NoError(t, err)
	assert.Zero(t, last.Joined)
	<-last.Jobs[0].Done()
	assert.Equal(t, resources.Saved, last.Jobs[0].Image().State)
	assert.EqualValues(t, 2, r.sandbox.Accepted())
}
