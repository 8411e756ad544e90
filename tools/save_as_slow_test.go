package tools_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
)

// slowStore is a store whose Open waits until its context ends while slow is true.
type slowStore struct {
	resources.Store
	slow atomic.Bool
}

func (s *slowStore) Open(ctx context.Context, name string) (resources.File, error) {
	if s.slow.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Open(ctx, name)
}

// inSlowBubble runs a test in a bubble, with a project in dir. The files of its library
// cannot be read while the store is slow.
func inSlowBubble(t *testing.T, dir string, test func(*testing.T, *rig, *slowStore)) {
	t.Helper()
	store := &slowStore{}
	inBubbleOf(t, func(t *testing.T) func(*tools.Config, *jobs.Config) {
		library := localLibrary(t, func(o *resources.Options) { store.Store, o.Store = o.Store, store })
		return func(c *tools.Config, j *jobs.Config) {
			c.Library, j.Library, c.Project, c.Inline = library, library, project.New(dir), tools.InlineNone // previews would wait too
		}
	}, func(t *testing.T, r *rig) { test(t, r, store) })
}

// A file that takes too long costs the file, not the image, and the result says so.
func TestSaveAs_TakesTooLong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inSlowBubble(t, dir, func(t *testing.T, r *rig, store *slowStore) {
		store.slow.Store(true)
		start := time.Now()
		result, s := r.call(t, "generate_image", `{"prompt":"a fox","n":2,"size":"512x512","save_as":"hero.webp"}`)
		require.False(t, result.IsError, text(t, result))
		assert.Equal(t, 8*time.Second, time.Since(start).Truncate(time.Second), "for both files together; the clock is that of the bubble")
		for n, i := range s.Images {
			assert.Equal(t, resources.StatusSaved, i.Status)
			assert.Empty(t, i.SavedAs)
			note := fmt.Sprintf("Image %s is in the library, but was not saved as hero-%d.webp: It took too long to make the file. "+
				"Wait a moment. Then call get_image with this id and save_as, which is free of charge.", i.ID, n+1)
			assert.Contains(t, s.Notes, note)
			assert.Contains(t, text(t, result), note)
		}
		assert.Empty(t, files(t, dir))
		store.slow.Store(false)
		_, again := r.call(t, "get_image", fmt.Sprintf(`{"id":%q,"save_as":"hero-1.webp"}`, s.Images[0].ID))
		assert.Equal(t, "hero-1.webp", again.Images[0].SavedAs)
		assert.EqualValues(t, 2, r.sandbox.Posts())
	})
}

// If a call is cancelled while its file is made, an equal call gets the image and writes
// the file.
func TestSaveAs_CancelledDuringExport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inSlowBubble(t, dir, func(t *testing.T, r *rig, store *slowStore) {
		const arguments = `{"prompt":"a fox","size":"512x512","save_as":"hero.webp"}`
		store.slow.Store(true)
		delivery := r.pipeline.NewDelivery()
		ctx, cancel := context.WithCancel(as(t.Context(), tools.Caller{Owner: "local", Delivery: delivery}))
		time.AfterFunc(5*time.Second, func() { delivery.Cancel(); cancel() }) // as the transports do
		request := mcp.CallToolRequest{}
		request.Params.Name, request.Params.Arguments = "generate_image", map[string]any{"prompt": "a fox", "size": "512x512", "save_as": "hero.webp"}
		result, err := r.CallTool(ctx, request)
		require.NoError(t, err)
		s := testrig.StructuredContent(t, result.StructuredContent)
		require.Len(t, s.Images, 1)
		assert.Contains(t, notesOf(s), "was not saved as hero.webp: The call was cancelled before the file was made.")
		assert.Empty(t, files(t, dir))

		store.slow.Store(false)
		again, s := r.call(t, "generate_image", arguments)
		require.False(t, again.IsError, text(t, again))
		assert.Contains(t, text(t, again), "nothing was charged a second time")
		assert.Equal(t, "hero.webp", s.Images[0].SavedAs)
		assert.FileExists(t, filepath.Join(dir, "hero.webp"))
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}

// An export that is cancelled fails as such, and the image stays.
func TestExport_Cancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inSlowBubble(t, dir, func(t *testing.T, r *rig, store *slowStore) {
		_, made := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
		store.slow.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		request := mcp.CallToolRequest{}
		request.Params.Name, request.Params.Arguments = "export_image", map[string]any{"id": made.Images[0].ID, "save_as": "hero.webp", "size": "64x64"}
		result, err := r.CallTool(ctx, request)
		require.NoError(t, err)
		s := testrig.StructuredContent(t, result.StructuredContent)
		require.True(t, result.IsError)
		assert.Equal(t, resources.KindCancelled, s.Error.Kind)
		assert.Empty(t, files(t, dir))
		store.slow.Store(false)
		_, s = r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"hero.webp","size":"64x64"}`, made.Images[0].ID))
		assert.Equal(t, "hero.webp", s.Images[0].SavedAs)
	})
}
