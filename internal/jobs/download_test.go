package jobs_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

func TestFetch_InlineImageNotSaved(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	watch, _ := r.breakFolder(t)
	j, err := r.start(t.Context(), order("sandbox:b64"), watch)
	require.NoError(t, err)
	<-j.Done()
	image := j.Image()
	assert.EqualValues(t, "storage", image.Failure.Kind)
	assert.False(t, image.Failure.Retryable)
	assert.NotContains(t, image.Failure.Hint, "get_image", "get_image cannot fetch it")
	assert.Contains(t, image.Failure.Message, r.folder, "the folder is named")
	unsaved, err := r.Library.Unsaved(t.Context(), "local", 10)
	require.NoError(t, err)
	assert.Len(t, unsaved, 1)
	list, err := r.Recover(t.Context(), true)
	require.NoError(t, err)
	assert.Empty(t, list, "it cannot be fetched, so its failure remains")
}

func TestFetch_FolderBreaksAfterPayment(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	watch, repair := r.breakFolder(t)
	first, err := r.start(t.Context(), order("a fox"), watch)
	require.NoError(t, err)
	<-first.Done()
	image := first.Image()
	assert.Equal(t, resources.FetchFailed, image.State)
	assert.EqualValues(t, "storage", image.Failure.Kind)
	assert.Contains(t, image.Failure.Hint, image.UpstreamURL)
	assert.True(t, image.Charged)
	repair()
	j, err := r.Follow(t.Context(), image, nil)
	require.NoError(t, err)
	<-j.Done()
	assert.Equal(t, resources.Saved, j.Image().State)
	assert.EqualValues(t, 1, r.sandbox.Accepted())
}

// If the folder is replaced by an empty one while an image is being generated,
// the image is saved there and added to the new catalog.
func TestFetch_FolderReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.make(t, "first")
	trash := t.TempDir() + "/trash"
	j, err := r.start(t.Context(), order("second"), func(s jobs.Stage) {
		if s.Phase == jobs.PhaseGenerating {
			assert.NoError(t, os.Rename(r.folder, trash))
			assert.NoError(t, os.Mkdir(r.folder, 0o755))
		}
	})
	require.NoError(t, err)
	<-j.Done()
	require.Nil(t, j.Image().Failure)
	image := r.image(t, j.ID())
	assert.Equal(t, resources.Saved, image.State)
	assert.True(t, image.Charged)
	_, err = r.Library.Read(t.Context(), image)
	require.NoError(t, err)
	list, _, err := r.Library.List(t.Context(), "local", "", "", 10)
	require.NoError(t, err)
	assert.Len(t, list, 1, "the first image is in the old folder")
}

// Steps that could not be recorded while the folder was missing are recorded
// when it is back.
func TestFetch_FolderMissingAndBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.make(t, "first")
	away := t.TempDir() + "/away"
	j, err := r.start(t.Context(), order("second"), func(s jobs.Stage) {
		if s.Phase == jobs.PhaseGenerating {
			assert.NoError(t, os.Rename(r.folder, away))
		}
	})
	require.NoError(t, err)
	<-j.Done()
	assert.EqualValues(t, "storage", j.Image().Failure.Kind)
	require.NoError(t, os.Rename(away, r.folder))
	_, err = r.Recover(t.Context(), true)
	require.NoError(t, err)
	kept := r.image(t, j.ID())
	assert.NotEmpty(t, kept.UpstreamURL, "the link to the paid image")
	again, err := r.Follow(t.Context(), kept, nil)
	require.NoError(t, err)
	<-again.Done()
	assert.Equal(t, resources.Saved, r.image(t, j.ID()).State)
	assert.EqualValues(t, 2, r.sandbox.Accepted())
}

// A download that is cut off is started again. If all attempts are cut off, the
// image is not reported as saved.
func TestFetch_IncompleteDownload(t *testing.T) {
	t.Parallel()
	r := testrig.Pipeline(t, testrig.Options{})
	call, err := r.Start(t.Context(), order("a fox sandbox:cut"), nil)
	require.NoError(t, err)
	<-call.Jobs[0].Done()
	image, err := r.Library.Image(t.Context(), "local", ids(call)[0])
	require.NoError(t, err)
	assert.Equal(t, resources.FetchFailed, image.State)
	assert.True(t, image.Charged)
	assert.Contains(t, image.UpstreamURL, "/files/", "the link is kept")
	require.NotNil(t, image.Failure)
	assert.Equal(t, resources.KindDownload, image.Failure.Kind)
	assert.EqualValues(t, 3, r.API.Downloads())
	assert.EqualValues(t, 1, r.API.Accepted())
}
