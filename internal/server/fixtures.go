//go:build conformance

package server

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

var _ server.SessionWithLogging = (*session)(nil)

// SetLogLevel implements server.SessionWithLogging, which the product does not:
// its log goes to stderr. The suite's tool says all that it says at one level.
func (s *session) SetLogLevel(mcp.LoggingLevel) {}

// GetLogLevel implements server.SessionWithLogging.
func (s *session) GetLogLevel() mcp.LoggingLevel { return mcp.LoggingLevelInfo }

// MCP gives the library's server, so that the fixtures of the conformance suite
// can be added to it and go through the same transports as the product's own.
// It is only there in the build that the suite tests.
func (s *Server) MCP() *server.MCPServer { return s.mcp }

// Refuse answers a request with a protocol error, whatever its handler returns.
func Refuse(ctx context.Context, code int, text string, data any) { refuseWith(ctx, code, text, data) }
