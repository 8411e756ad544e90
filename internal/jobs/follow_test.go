package jobs_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// An image whose download fails stays charged, keeps its link and can be
// fetched again free of charge.
func TestFollow_FetchesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	image := r.make(t, "sandbox:download")
	assert.Equal(t, resources.FetchFailed, image.State)
	assert.EqualValues(t, "download", image.Failure.Kind)
	assert.True(t, image.Charged)
	assert.True(t, image.Failure.Retryable)
	assert.Contains(t, image.Failure.Hint, image.ID)
	assert.Contains(t, image.Failure.Hint, image.UpstreamURL)
	for _, early := range []bool{false, true} { // only early recovery ignores the time of the next attempt
		list, err := r.Recover(t.Context(), early)
		require.NoError(t, err)
		assert.Equal(t, early, len(list) == 1)
		for _, j := range list {
			<-j.Done()
		}
	}
	image.UpstreamURL = r.make(t, "a fox").UpstreamURL // a link that works
	require.NoError(t, r.Library.Catalog().Record(t.Context(), image, resources.Guard{}))
	j, err := r.Follow(t.Context(), image, nil)
	require.NoError(t, err)
	<-j.Done()
	assert.Equal(t, resources.Saved, j.Image().State)
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// Callers that follow the same unsaved image share one job. A caller that read
// the image before it was saved gets the saved image.
func TestFollow_OneJobPerImage(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	good := r.make(t, "a fox").UpstreamURL
	for round := range 5 {
		lost := r.orphan(t, resources.Image{State: resources.FetchFailed, Prompt: "x", UpstreamURL: good, Failure: &resources.Failure{Kind: "download"}})
		var all sync.WaitGroup
		var mu sync.Mutex
		seen := map[*jobs.Job]bool{}
		together := make(chan struct{})
		for range 8 {
			all.Go(func() {
				<-together
				j, err := r.Follow(t.Context(), lost, nil)
				if assert.NoError(t, err) {
					mu.Lock()
					seen[j] = true
					mu.Unlock()
					<-j.Done()
					assert.Equal(t, resources.Saved, j.Image().State)
				}
			})
		}
		close(together)
		all.Wait()
		stale := lost
		stale.UpstreamURL = "https://127.0.0.1/gone.png"
		j, err := r.Follow(t.Context(), stale, nil)
		require.NoError(t, err)
		<-j.Done()
		assert.Equal(t, resources.Saved, j.Image().State, "a saved image stays saved")
		now, err := r.Library.Image(t.Context(), "local", lost.ID)
		require.NoError(t, err)
		assert.Equal(t, resources.Saved, now.State)
		downloads := 0
		for _, a := range r.attempts() {
			if a.Operation == zai.OperationDownload {
				downloads++
			}
		}
		assert.Equal(t, round+2, downloads, "one for each lost image")
	}
}

// An image cannot be removed while it is being generated.
func TestRemove_WhileWorking(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		j, err := r.start(t.Context(), order("sandbox:delay=200ms"), nil)
		require.NoError(t, err)
		require.ErrorIs(t, r.Library.Remove(t.Context(), "local", j.ID()), resources.ErrWorking)
		<-j.Done()
		require.NoError(t, r.Library.Remove(t.Context(), "local", j.ID()))
		files, err := filepath.Glob(filepath.Join(r.folder, "*", "*", "*", "*.png"))
		require.NoError(t, err)
		assert.Empty(t, files)
	})
}

// An image whose file is missing or damaged is fetched again, free of charge.
func TestFollow_FileMissing(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "it changes files of the folder")
	for name, spoil := range map[string]func(path string) error{
		"deleted":   os.Remove,
		"truncated": func(path string) error { return os.Truncate(path, 10) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			image := r.make(t, "a fox")
			require.NoError(t, spoil(r.Library.Path(image)))
			j, err := r.Follow(t.Context(), image, nil)
			require.NoError(t, err)
			<-j.Done()
			assert.Equal(t, resources.Saved, j.Image().State)
			_, err = r.Library.Read(t.Context(), r.image(t, image.ID))
			require.NoError(t, err)
			assert.EqualValues(t, 1, r.sandbox.Posts())
		})
	}
}

// An image that the response contained has no link, so it cannot be fetched
// again.
func TestFollow_FileMissingWithoutLink(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "it changes files of the folder")
	r := newRig(t, nil)
	image := r.make(t, "sandbox:b64")
	require.NoError(t, os.Remove(r.Library.Path(image)))
	j, err := r.Follow(t.Context(), image, nil)
	require.NoError(t, err)
	<-j.Done()
	require.NotNil(t, j.Image().Failure)
	assert.EqualValues(t, "storage", j.Image().Failure.Kind)
	assert.Contains(t, j.Image().Failure.Hint, "generated again")
	assert.False(t, j.Image().Failure.Retryable)
}
