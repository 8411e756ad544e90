package server

import (
	"context"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// habit is what a host does with results, beside what the protocol says.
type habit struct {
	// dropsContent: the host hands its model the structured content alone when
	// there is any, so that text and pictures are lost.
	dropsContent bool
}

// habitOf looks a host up by the name it introduces itself with.
func habitOf(client string) habit {
	if strings.HasPrefix(strings.ToLower(client), "codex") {
		return habit{dropsContent: true}
	}
	return habit{}
}

func hostOf(ctx context.Context) habit {
	session, ok := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo)
	if !ok {
		return habit{}
	}
	return habitOf(session.GetClientInfo().Name)
}

// suitHost leaves the structured content out for hosts that misuse it.
func (s *Server) suitHost(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result, err := next(ctx, request)
		if result != nil && hostOf(ctx).dropsContent {
			result.StructuredContent = nil
		}
		return result, err
	}
}

// suitToolList takes the output schemas back with it: clients refuse a result
// without structured content from a tool that promises one.
func suitToolList(ctx context.Context, _ any, _ *mcp.ListToolsRequest, result *mcp.ListToolsResult) {
	if !hostOf(ctx).dropsContent {
		return
	}
	for i := range result.Tools {
		result.Tools[i].RawOutputSchema = nil
	}
}
