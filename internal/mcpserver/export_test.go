package mcpserver

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// AddTool adds a tool for a test.
func (s *Server) AddTool(name string, handler server.ToolHandlerFunc) {
	s.mcp.AddTool(mcp.NewTool(name), handler)
}

// AddResource adds a resource for a test.
func (s *Server) AddResource(uri string, read func(context.Context) ([]mcp.ResourceContents, error)) {
	s.resources = extraResource{s.resources, uri, read}
}

type extraResource struct {
	resourceServer
	uri  string
	read func(context.Context) ([]mcp.ResourceContents, error)
}

func (e extraResource) Read(ctx context.Context, owner, uri string) ([]mcp.ResourceContents, error) {
	if uri == e.uri {
		return e.read(ctx)
	}
	return e.resourceServer.Read(ctx, owner, uri)
}

// OnPrompt calls f before each prompt is made.
func (s *Server) OnPrompt(f func()) {
	for name, handler := range s.prompts {
		s.prompts[name] = func(ctx context.Context, request mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			f()
			return handler(ctx, request)
		}
	}
}

// Sessions returns how many sessions receive notifications.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Waiting returns how many images wait for a slot.
func (s *Server) Waiting() int { return s.pipeline.Waiting() }
