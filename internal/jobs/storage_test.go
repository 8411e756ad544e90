package jobs_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
)

// No request is sent if the image could not be saved.
func TestStart_FolderUnusable(t *testing.T) {
	t.Parallel()
	today := func() string { return time.Now().UTC().Format("2006/01/02") }
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, folder string)
		named func(folder string) string // in the message
	}{
		"deleted": {
			func(t *testing.T, folder string) { require.NoError(t, os.RemoveAll(folder)) },
			func(folder string) string { return folder },
		},
		"moved": {
			func(t *testing.T, folder string) { require.NoError(t, os.Rename(folder, t.TempDir()+"/trash")) },
			func(folder string) string { return folder },
		},
		"year is a link": {
			func(t *testing.T, folder string) {
				year := filepath.Join(folder, time.Now().UTC().Format("2006"))
				moved := filepath.Join(t.TempDir(), "2006")
				require.NoError(t, os.Rename(year, moved))
				require.NoError(t, os.Symlink(moved, year))
			},
			func(folder string) string { return filepath.Join(folder, today()) },
		},
		"day is a file": {
			func(t *testing.T, folder string) {
				day := filepath.Join(folder, today())
				require.NoError(t, os.RemoveAll(day))
				require.NoError(t, os.WriteFile(day, nil, 0o600))
			},
			func(folder string) string { return filepath.Join(folder, today()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.make(t, "before")
			posts := r.sandbox.Posts()
			tt.spoil(t, r.folder)
			for range 3 {
				_, err := r.Start(t.Context(), order("after"), nil)
				require.ErrorIs(t, err, resources.ErrStorage)
				failure := jobs.Describe(err)
				assert.EqualValues(t, "storage", failure.Kind)
				assert.Contains(t, failure.Message, tt.named(r.folder))
			}
			assert.Equal(t, posts, r.sandbox.Posts(), "nothing is sent")
		})
	}
}

// A folder that is deleted while an image waits for a slot fails the image before
// its request is sent.
func TestRun_FolderGoneInQueue(t *testing.T) {
	t.Parallel()
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

// The folders below the library's may be deleted at any time.
func TestStart_DayFolderDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.make(t, "first")
	require.NoError(t, os.RemoveAll(filepath.Join(r.folder, time.Now().UTC().Format("2006"))))
	assert.Equal(t, resources.Saved, r.make(t, "second").State)
}

// The folder is replaced by an empty one while an image is being made: the image
// is saved there and added to its new catalog.
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

// Steps that could not be recorded while the folder was away are recorded when
// it is back.
func TestFetch_FolderAwayAndBack(t *testing.T) {
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

// An image whose file is missing or damaged is fetched again, free of charge.
func TestFollow_FileMissing(t *testing.T) {
	t.Parallel()
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

// An image that came in the response itself has no link to fetch it from.
func TestFollow_FileMissingWithoutLink(t *testing.T) {
	t.Parallel()
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

// A response that could not be understood is kept with the image.
func TestRun_AnswerNotUnderstood(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	image := r.make(t, "sandbox:no_picture")
	assert.Equal(t, resources.Unknown, image.State)
	assert.Contains(t, image.UpstreamAnswer, `"data":[]`)
}
