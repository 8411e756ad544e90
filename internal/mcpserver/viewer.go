package mcpserver

import (
	"context"
	"slices"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/tools/viewer"
)

// viewerHooks returns the hooks that name the viewer's page in the list of tools. Every
// client gets it, because hosts that show the page do not always announce that.
func (s *Server) viewerHooks() *server.Hooks {
	hooks := &server.Hooks{}
	hooks.AddAfterListTools(func(_ context.Context, _ any, _ *mcp.ListToolsRequest, result *mcp.ListToolsResult) {
		for i := range result.Tools {
			if slices.Contains(s.viewed, result.Tools[i].Name) {
				result.Tools[i].Meta = viewer.ToolMeta(s.about.Version)
			}
		}
	})
	return hooks
}

// markProject tells the viewer that there is a project, so that it offers to save files
// to it. _meta is not shown to models.
func (s *Server) markProject(result *mcp.CallToolResult) {
	if !s.hasProject {
		return
	}
	meta := result.EnsureResultMeta()
	if meta.AdditionalFields == nil {
		meta.AdditionalFields = map[string]any{}
	}
	meta.AdditionalFields[viewer.ProjectKey] = true
}
