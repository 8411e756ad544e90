package mcpserver_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/project"
	"zai-image-mcp/internal/testrig"
)

// A host over stdio gets its file, whichever parts of a result it uses: one that drops
// structured content or has no links reads the text alone.
func TestFiles_Stdio(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		client, version   string
		structured, links bool
	}{
		{"claude-code", "2025-11-25", true, true}, {"codex-mcp-client", "2025-11-25", false, true}, {"old", "2025-03-26", true, false},
	} {
		t.Run(tt.client, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := newRig(t, func(c *settings) { c.Project = project.New(dir) })
			r.start(t)
			hello := strings.NewReplacer(`"name":"t"`, fmt.Sprintf(`"name":%q`, tt.client), "2025-11-25", tt.version).Replace(testrig.Initialize)
			r.send(t, hello)
			require.Nil(t, r.answer(t).Error)
			r.send(t, testrig.Initialized)

			r.send(t, call(1, "generate_image", `{"prompt":"a fox","size":"512x512","save_as":"assets/hero.webp"}`))
			result := r.answer(t).ToolResult(t)
			require.False(t, result.IsError)
			words := result.Content[0].Text
			assert.Contains(t, words, "saved as assets/hero.webp (512x512, WebP, ")
			assert.Contains(t, words, filepath.Join(dir, "assets", "hero.webp"))
			assert.Contains(t, words, "![a fox](assets/hero.webp)")
			_, rest, _ := strings.Cut(words, "id ")

			r.send(t, call(2, "export_image", fmt.Sprintf(`{"id":%q,"set":"favicon","save_as":"public/"}`, rest[:26])))
			answer := r.answer(t)
			result = answer.ToolResult(t)
			require.False(t, result.IsError, result.Content[0].Text)
			for _, name := range []string{"favicon.ico", "favicon-32x32.png", "apple-touch-icon.png", "icon-192.png", "icon-512.png"} {
				assert.Contains(t, result.Content[0].Text, "saved as public/"+name)
				assert.Contains(t, result.Content[0].Text, filepath.Join(dir, "public", name))
				assert.FileExists(t, filepath.Join(dir, "public", name))
			}
			assert.Contains(t, result.Content[0].Text, `<link rel="icon"`)
			assert.Equal(t, tt.structured, len(result.StructuredContent.Images) == 5)
			assert.Equal(t, map[bool]int{true: 5, false: 0}[tt.links], strings.Count(string(answer.Result), `"type":"resource_link"`))
			assert.Equal(t, 1, strings.Count(string(answer.Result), `"type":"image"`))
		})
	}
}

// Exports are no new images, so clients are not told to read the list of resources again.
func TestFiles_NoListChanged(t *testing.T) {
	t.Parallel()
	const changed = "notifications/resources/list_changed"
	r := newRig(t, func(c *settings) { c.Project = project.New(t.TempDir()) })
	r.handshake(t)
	r.send(t, generate(1, "a fox"))
	id := ""
	for changes := 0; id == "" || changes == 0; {
		switch m := r.next(t); m.Method {
		case "":
			id = m.ToolResult(t).StructuredContent.Images[0].ID
		case changed:
			changes++
		}
	}
	for _, arguments := range []string{`"set":"social","save_as":"a/"`, `"size":"10x10"`} {
		r.send(t, call(2, "export_image", fmt.Sprintf(`{"id":%q,%s}`, id, arguments)))
		m := r.next(t)
		require.Empty(t, m.Method)
		require.False(t, m.ToolResult(t).IsError)
	}
	r.send(t, generate(3, "an owl")) // its notifications follow those of the exports
	first := r.next(t)
	assert.Equal(t, "notifications/progress", first.Method)
	assert.Equal(t, "t3", first.Params["progressToken"])
}

// Over HTTP there is no project: exports are resources and links, which need no other
// authentication. Metrics count the tool.
func TestFiles_HTTP(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	w := r.streamable(t, false)
	generated := w.request(t, "tools/call", `{"name":"generate_image","arguments":{"prompt":"a fox","size":"512x512"}}`).ToolResult(t)
	id := generated.StructuredContent.Images[0].ID
	refused := w.request(t, "tools/call", `{"name":"generate_image","arguments":{"prompt":"an owl","save_as":"hero.png"}}`).ToolResult(t)
	assert.True(t, refused.IsError)
	assert.Contains(t, refused.Content[0].Text, "there is no project")
	assert.EqualValues(t, 1, r.sandbox.Posts())

	result := w.request(t, "tools/call", fmt.Sprintf(`{"name":"export_image","arguments":{"id":%q,"set":"social"}}`, id)).ToolResult(t)
	require.False(t, result.IsError)
	require.Len(t, result.StructuredContent.Images, 3)
	for _, i := range result.StructuredContent.Images {
		status, file := r.ask(t, http.MethodGet, strings.TrimPrefix(i.DownloadURL, r.base), "")
		assert.Equal(t, http.StatusOK, status)
		assert.Len(t, file, int(i.Bytes))
		read := w.request(t, "resources/read", fmt.Sprintf(`{"uri":%q}`, i.URI))
		require.Nil(t, read.Error)
		assert.Contains(t, string(read.Result), `"mimeType":"image/png"`)
	}
	refusal := w.request(t, "resources/read", fmt.Sprintf(`{"uri":"zai-image://images/%s/exports/png-transparent"}`, id))
	require.NotNil(t, refusal.Error)
	assert.Contains(t, refusal.Error.Message, "(kind: invalid_argument)")
	assert.Equal(t, mcp.INVALID_PARAMS, refusal.Error.Code, "nothing failed in the server")
	assert.NotContains(t, r.log.String(), "level=ERROR")
	_, metrics := r.ask(t, http.MethodGet, "/metrics", "")
	assert.Contains(t, metrics, "\n"+`zai_image_tool_calls_total{outcome="ok",tool="export_image"} 1`+"\n")
	assert.Contains(t, metrics, "\n"+`zai_image_tool_calls_total{outcome="invalid_argument",tool="generate_image"} 1`+"\n")
}

// The instructions and the definitions that agents read name the arguments and tools.
func TestFiles_Instructions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("instructions.md")
	require.NoError(t, err)
	for _, part := range []string{"save_as", "export_image", "favicon", "app-icon", "social", `never for "transparent" or "checkerboard"`} {
		assert.Contains(t, string(text), part)
	}
}
