//go:build conformance

package server

import (
	"context"

	"github.com/mark3labs/mcp-go/server"
)

// MCP gives the library's server, so that the fixtures of the conformance suite
// can be added to it and go through the same transports as the product's own.
// It is only there in the build that the suite tests.
func (s *Server) MCP() *server.MCPServer { return s.mcp }

// Refuse answers a request with a protocol error, whatever its handler returns.
func Refuse(ctx context.Context, code int, text string, data any) { refuseWith(ctx, code, text, data) }
