package tools_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
)

// get_image waits for an image that another process on the same library
// generates.
func TestGet_RemoteImage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *tools.Config, _ *jobs.Config) { c.Wait = 5 * time.Second }, func(t *testing.T, r *rig) {
		id, err := r.library.NewID()
		require.NoError(t, err)
		reserved, err := r.library.Catalog().Reserve(t.Context(), resources.Reservation{
			Images: []resources.Image{{ID: id, Owner: "local", State: resources.Submitted, Prompt: "x", Size: "9x9"}}, Count: 1,
			Lease: resources.Lease{Process: "another", For: time.Minute},
		})
		require.NoError(t, err)
		remote := reserved.New[0]
		time.AfterFunc(200*time.Millisecond, func() {
			_, err := r.library.Save(context.Background(), remote, resources.Content{Reader: strings.NewReader("no image"), MIMEType: "image/png", Extension: ".png", Width: 9, Height: 9}, "another")
			assert.NoError(t, err)
		})
		result, s := r.call(t, "get_image", fmt.Sprintf(`{"id":%q}`, remote.ID))
		require.False(t, result.IsError)
		assert.Equal(t, resources.StatusSaved, s.Images[0].Status)
		assert.Contains(t, text(t, result), "no preview could be made")
		assert.Len(t, result.Content, 2, "an image without a preview is still returned")
	})
}

func TestGet(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	_, made := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	for _, id := range []string{made.Images[0].ID, strings.ToUpper(made.Images[0].ID), made.Images[0].URI, made.Images[0].PreviewURI} {
		result, s := r.call(t, "get_image", fmt.Sprintf(`{"id":%q}`, id))
		require.False(t, result.IsError, id)
		assert.Equal(t, made.Images, s.Images)
		assert.Len(t, result.Content, 3)
	}
	for arguments, kind := range map[string]string{
		`{"id":"01m7wnsdj83vthhjy68qfe1hke"}`: "not_found", `{"id":"../../etc/passwd"}`: "not_found", `{"id":"x"}`: "not_found",
		`{}`: "invalid_argument", `{"id":""}`: "invalid_argument", `{"name":"x"}`: "invalid_argument", `{"id":{}}`: "invalid_argument",
	} {
		result, s := r.call(t, "get_image", arguments)
		require.True(t, result.IsError, arguments)
		assert.EqualValues(t, kind, s.Error.Kind, arguments)
	}
}

func TestGet_FetchesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	result, s := r.call(t, "generate_image", `{"prompt":"sandbox:download","size":"512x512"}`)
	require.True(t, result.IsError)
	assert.EqualValues(t, "download", s.Error.Kind)
	assert.True(t, s.Error.Retryable)
	_, id, found := strings.Cut(s.Error.Hint, "get_image with id ")
	require.True(t, found, s.Error.Hint)
	result, s = r.call(t, "get_image", fmt.Sprintf(`{"id":%q}`, id[:26]))
	require.True(t, result.IsError, "the link still returns 404")
	assert.EqualValues(t, "download", s.Error.Kind)
	assert.EqualValues(t, 1, r.sandbox.Posts())
}

// An image of the sandbox is marked as such even by a server that does not use
// the sandbox.
func TestGet_SandboxImage(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *tools.Config, j *jobs.Config) { c.Sandbox = false })
	_, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	assert.True(t, *s.Sandbox)
	result, s := r.call(t, "get_image", fmt.Sprintf(`{"id":%q}`, s.Images[0].ID))
	assert.True(t, *s.Sandbox)
	assert.Contains(t, text(t, result), "sandbox")
}

// A file of the library that is lost or damaged is fetched again, and then written into the
// project. Damage that leaves the size is found when the file is made, so the result asks
// for a second call.
func TestGet_FetchesAgainForFile(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "the test changes files of the library")
	r := newProjectRig(t, nil)
	_, made := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	path, arguments := made.Images[0].Path, fmt.Sprintf(`{"id":%q,"save_as":"hero.webp"}`, made.Images[0].ID)
	original, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	_, s := r.call(t, "get_image", arguments)
	assert.Equal(t, "hero.webp", s.Images[0].SavedAs)

	damaged := bytes.Clone(original)
	damaged[len(damaged)/2] ^= 1
	require.NoError(t, os.WriteFile(path, damaged, 0o600))
	result, s := r.call(t, "get_image", fmt.Sprintf(`{"id":%q,"save_as":"hero.jpg"}`, made.Images[0].ID))
	require.False(t, result.IsError)
	assert.Empty(t, s.Images[0].SavedAs)
	assert.Contains(t, notesOf(s), "was not saved as hero.jpg: The image's file was changed")
	_, s = r.call(t, "get_image", fmt.Sprintf(`{"id":%q,"save_as":"hero.jpg"}`, made.Images[0].ID))
	assert.Equal(t, "hero.jpg", s.Images[0].SavedAs)
	fetched, err := os.ReadFile(s.Images[0].Path)
	require.NoError(t, err)
	assert.Equal(t, original, fetched)
	assert.EqualValues(t, 1, r.sandbox.Posts())
}
