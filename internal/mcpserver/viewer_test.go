package mcpserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/mcpserver"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
	"zai-image-mcp/tools/viewer"
)

const viewerURI = "ui://zai-image/1"

// extraTool is a tool whose results the viewer does not show.
func extraTool(s *mcpserver.Server) {
	s.AddTool("other", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("x"), nil
	})
}

// checkViewer checks what every client finds of the viewer, whatever it announces.
func checkViewer(t *testing.T, w wire) {
	t.Helper()
	var list struct {
		Tools []struct {
			Name string         `json:"name"`
			Meta map[string]any `json:"_meta"`
		} `json:"tools"`
	}
	require.NoError(t, json.Unmarshal(w.request(t, "tools/list", `{}`).Result, &list))
	require.Len(t, list.Tools, 5)
	for _, tool := range list.Tools {
		if tool.Name == "other" {
			assert.Empty(t, tool.Meta)
			continue
		}
		assert.Equal(t, map[string]any{"ui": map[string]any{"resourceUri": viewerURI}}, tool.Meta, tool.Name)
	}
	for _, uri := range []string{viewerURI, "ui://zai-image/0.0.1"} { // a host keeps the URI of an earlier version
		m := w.request(t, "resources/read", fmt.Sprintf(`{"uri":%q}`, uri))
		require.Nil(t, m.Error)
		var read struct {
			Contents []map[string]any `json:"contents"`
		}
		require.NoError(t, json.Unmarshal(m.Result, &read))
		require.Len(t, read.Contents, 1)
		content := read.Contents[0]
		assert.Equal(t, uri, content["uri"])
		assert.Equal(t, "text/html;profile=mcp-app", content["mimeType"])
		assert.Contains(t, content["text"], "<!doctype html>")
		assert.Equal(t, map[string]any{"ui": map[string]any{
			"csp":         map[string]any{"connectDomains": []any{}, "resourceDomains": []any{}},
			"permissions": map[string]any{"clipboardWrite": map[string]any{}}, "prefersBorder": true,
		}}, content["_meta"])
	}
	assert.NotNil(t, w.request(t, "resources/read", `{"uri":"ui://zai-image/"}`).Error)
	for _, method := range []string{"resources/list", "resources/templates/list"} {
		assert.NotContains(t, string(w.request(t, method, `{}`).Result), "ui://", "pickers of resources do not show the page")
	}
}

func TestViewer_AllTransports(t *testing.T) {
	t.Parallel()
	overTransports(t, nil, extraTool, func(t *testing.T, l link) {
		checkViewer(t, l)
		var about struct {
			Capabilities struct {
				Extensions map[string]any `json:"extensions"`
			} `json:"capabilities"`
		}
		method, params := "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`
		if l.isStateless {
			method, params = "server/discover", `{}`
		}
		m := l.request(t, method, params)
		require.Nil(t, m.Error)
		require.NoError(t, json.Unmarshal(m.Result, &about))
		assert.Equal(t, map[string]any{viewer.Extension: map[string]any{}}, about.Capabilities.Extensions)
	})
}

// With authentication, the page is as protected as the tools.
func TestViewer_Tokens(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{address: web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken)}})
	extraTool(r.Server)
	alice := bearer(aliceToken)
	for _, w := range []wire{r.streamable(t, false, alice...), r.streamable(t, true, alice...), r.sse(t, false, alice...), r.sse(t, true, alice...)} {
		checkViewer(t, w)
	}
	status, _ := r.ask(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"`+viewerURI+`"}}`)
	assert.Equal(t, http.StatusUnauthorized, status)
}

// Results tell the viewer whether there is a project to save files to.
func TestViewer_Project(t *testing.T) {
	t.Parallel()
	for _, hasProject := range []bool{true, false} {
		overTransports(t, func(c *settings) {
			if hasProject {
				c.Project = project.New(t.TempDir())
			}
		}, nil, func(t *testing.T, l link) {
			for _, call := range []string{
				`{"name":"generate_image","arguments":{"prompt":"a fox","size":"512x512"}}`, `{"name":"list_images"}`, `{"name":"get_image","arguments":{"id":"nope"}}`,
			} {
				var result struct {
					Meta map[string]any `json:"_meta"`
				}
				require.NoError(t, json.Unmarshal(l.request(t, "tools/call", call).Result, &result))
				if hasProject {
					assert.Equal(t, true, result.Meta[viewer.ProjectKey], call)
				} else {
					assert.NotContains(t, result.Meta, viewer.ProjectKey, call)
				}
			}
		})
	}
}

// The size that models pay for does not include _meta, which they do not see. What the
// viewer adds for hosts is small as well.
func TestViewer_DefinitionsSize(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *settings) { c.Version = "0.1.0" })
	result := r.wire(t, false).request(t, "tools/list", `{}`).Result
	var list struct {
		Tools []map[string]any `json:"tools"`
	}
	require.NoError(t, json.Unmarshal(result, &list))
	for _, tool := range list.Tools {
		assert.NotEmpty(t, tool["_meta"])
		delete(tool, "_meta")
	}
	without, err := json.Marshal(list)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(without), 5600)
	assert.LessOrEqual(t, len(result)-len(without), 64*len(list.Tools))
}
