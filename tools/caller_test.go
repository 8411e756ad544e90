package tools_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
)

// A call of any tool without a Caller fails, because it has no owner.
func TestCaller_Missing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tool := range []string{"generate_image", "get_image", "list_images", "export_image"} {
		result, s := r.callWith(t, as(t.Context(), noCaller{}), tool, `{"prompt":"a fox"}`)
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

// Caller.Inline overrides Config.Inline.
func TestCaller_Inline(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *tools.Config, _ *jobs.Config) { c.Inline = tools.InlineNone })
	for inline, contents := range map[tools.Inline]int{"": 2, tools.InlineNone: 2, tools.InlinePreview: 3} {
		result, _ := r.callWith(t, as(t.Context(), tools.Caller{Owner: "local", Inline: inline}), "generate_image", `{"prompt":"a fox","size":"512x512"}`)
		assert.Len(t, result.Content, contents, inline)
	}
	assert.EqualValues(t, 1, r.sandbox.Posts(), "nothing was delivered, so equal calls share the image")
}

// A caller whose token does not allow generating images sees what there is.
func TestCaller_ReadOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	reader := as(t.Context(), tools.Caller{Owner: "local", ReadOnly: true})
	result, s := r.callWith(t, reader, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	require.True(t, result.IsError)
	assert.Contains(t, text(t, result), "does not allow generating images")
	assert.Contains(t, text(t, result), "(kind: unauthorized)")
	assert.False(t, s.Error.Retryable)
	assert.Zero(t, r.sandbox.Posts())
	result, _ = r.callWith(t, reader, "list_images", `{}`)
	assert.False(t, result.IsError)
}
