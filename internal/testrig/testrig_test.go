package testrig_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

func TestMain(m *testing.M) { testrig.Main(m) }

// With the default waits of a client, the delays, retries and polls of these
// prompts would take a quarter of an hour.
func TestPipeline_NothingWaits(t *testing.T) {
	w := testrig.Pipeline(t, testrig.Options{Jobs: func(c *jobs.Config) { c.MaxConcurrent = 1 }})
	for _, request := range []jobs.Request{
		{Prompt: "sandbox:late", Model: zai.DefaultModel, Size: "512x512"},
		{Prompt: "sandbox:too_frequent*2", Model: zai.DefaultModel, Size: "512x512"},
		{Prompt: "a poster", Model: "glm-image", Size: "512x512", Quality: zai.HD},
		{Prompt: "sandbox:delay=900s", Model: zai.DefaultModel, Size: "512x512"},
	} {
		request.Owner = "local"
		call, err := w.Start(t.Context(), request, nil)
		require.NoError(t, err)
		if request.Prompt == "sandbox:delay=900s" {
			break // ends with the test
		}
		<-call.Jobs[0].Done()
		assert.Equal(t, resources.Saved, call.Jobs[0].Image().State, request.Prompt)
	}
	assert.EqualValues(t, 5, w.API.Downloads())
	assert.GreaterOrEqual(t, w.API.Polls(), int64(1))
	assert.NotEmpty(t, w.API.Attempts())
	assert.GreaterOrEqual(t, w.API.Posts(), int64(5))
}

func TestMessage_ToolResult(t *testing.T) {
	m := testrig.ParseMessage(t, []byte(`{"jsonrpc":"2.0","id":7,"result":{"isError":true,`+
		`"content":[{"type":"text","text":"no"}],"structuredContent":{"error":{"kind":"quota"}}}}`))
	assert.JSONEq(t, "7", string(m.ID))
	r := m.ToolResult(t)
	assert.True(t, r.IsError)
	assert.Equal(t, "no", r.Content[0].Text)
	assert.Equal(t, resources.Kind("quota"), r.StructuredContent.Error.Kind)
	assert.Equal(t, r.StructuredContent, testrig.StructuredContent(t, map[string]any{"error": map[string]any{"kind": "quota"}}))
}

func TestCommand(t *testing.T) {
	out, err := testrig.Command(t, nil, "version").Output()
	require.NoError(t, err)
	assert.Regexp(t, `^\d+\.\d+\.\d+`, string(out))
	first := testrig.Program(t)
	assert.Equal(t, first, testrig.Program(t), "the program is built once")
}
