package tools_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
)

// A call without a caller fails, whatever the tool: it has no owner.
func TestCaller_Missing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tool := range []string{"generate_image", "get_image", "list_images"} {
		result, s := r.callWith(t, as(t.Context(), nobody{}), tool, `{"prompt":"a fox"}`)
		require.True(t, result.IsError)
		assert.Equal(t, resources.KindInternal, s.Error.Kind)
	}
	assert.Zero(t, r.sandbox.Posts())
}

// Each owner sees only their own images.
func TestCaller_Owner(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	alice := as(t.Context(), tools.Caller{Owner: "alice"})
	_, made := r.callWith(t, alice, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	require.Len(t, made.Images, 1)
	_, own := r.callWith(t, alice, "list_images", `{}`)
	assert.Len(t, own.Images, 1)
	_, others := r.call(t, "list_images", `{}`)
	assert.Empty(t, others.Images)
}

// The caller's choice of what a result carries overrides the server's.
func TestCaller_Inline(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *tools.Config, _ *jobs.Config) { c.Inline = tools.InlineNone })
	for inline, contents := range map[tools.Inline]int{"": 2, tools.InlineNone: 2, tools.InlinePreview: 3} {
		result, _ := r.callWith(t, as(t.Context(), tools.Caller{Owner: "local", Inline: inline}), "generate_image", `{"prompt":"a fox","size":"512x512"}`)
		assert.Len(t, result.Content, contents, inline)
	}
	assert.EqualValues(t, 1, r.sandbox.Posts(), "nothing was delivered, so equal calls share the image")
}

// When the pipeline detaches its callers, a call that waits returns the id of
// its image, which is finished.
func TestGenerate_Detached(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		time.AfterFunc(time.Second, r.pipeline.Detach)
		start := time.Now()
		result, s := r.call(t, "generate_image", `{"prompt":"sandbox:delay=20s","size":"512x512"}`)
		require.False(t, result.IsError)
		require.Equal(t, resources.StatusWorking, s.Images[0].Status)
		assert.Less(t, time.Since(start), 2*time.Second)
		<-r.pipeline.Find(s.Images[0].ID).Done()
	})
}

// The caller cancels: what was sent is kept for a repeat of the call.
func TestGenerate_Cancelled(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		request := mcp.CallToolRequest{}
		request.Params.Name = "generate_image"
		request.Params.Arguments = map[string]any{"prompt": "sandbox:delay=5s", "size": "512x512"}
		result, err := r.CallTool(ctx, request)
		require.NoError(t, err)
		s := testrig.StructuredContent(t, result.StructuredContent)
		require.True(t, result.IsError)
		assert.Equal(t, resources.KindCancelled, s.Error.Kind)
		assert.False(t, s.Error.Retryable)
		assert.Contains(t, s.Error.Hint, "within 15 minutes")
		again, s := r.call(t, "generate_image", `{"prompt":"sandbox:delay=5s","size":"512x512"}`)
		require.False(t, again.IsError)
		assert.Contains(t, text(t, again), "nothing was charged a second time")
		assert.Equal(t, resources.StatusSaved, s.Images[0].Status)
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}

// A call joins an equal one of another process, whose caller cancels it before
// its request is sent: the call starts over and gets an image of its own.
func TestGenerate_JoinedCallCancelledElsewhere(t *testing.T) {
	t.Parallel()
	var config jobs.Config
	inBubble(t, func(_ *tools.Config, c *jobs.Config) { config = *c }, func(t *testing.T, r *rig) {
		config.Process, config.MaxConcurrent = rand.Text(), 1
		folder := filepath.Dir(r.library.Path(resources.Image{Path: "x"}))
		config.Library = testrig.Library(t, func(o *resources.Options) { o.Folder = folder })
		other := jobs.New(config)
		t.Cleanup(func() { _ = other.Drain(context.Background()) })
		t.Cleanup(r.sandbox.Close)
		request := jobs.Request{Owner: "local", Model: zai.DefaultModel, Prompt: "sandbox:delay=10m slow", Size: "512x512", Quality: "standard", PriceUSD: 0.01}
		_, err := other.Start(t.Context(), request, nil)
		require.NoError(t, err)
		request.Prompt = "a fox"
		queued, err := other.Start(t.Context(), request, nil)
		require.NoError(t, err)
		time.AfterFunc(time.Second, queued.Abandon)
		result, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
		require.False(t, result.IsError, text(t, result))
		assert.Equal(t, resources.StatusSaved, s.Images[0].Status)
		assert.NotEqual(t, queued.Jobs[0].ID(), s.Images[0].ID)
		assert.EqualValues(t, 2, r.sandbox.Posts())
	})
}
