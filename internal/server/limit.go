package server

import (
	"context"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/tools"
)

// How many tool calls are under way at once. Those that make pictures wait in
// a queue of their own.
const (
	maxCalls       = 1024
	maxClientCalls = 256
)

// callLimit counts the tool calls under way.
type callLimit struct {
	mu       sync.Mutex
	total    int
	byClient map[string]int
}

func (l *callLimit) begin(client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= maxCalls || l.byClient[client] >= maxClientCalls {
		return false
	}
	if l.byClient == nil {
		l.byClient = map[string]int{}
	}
	l.total++
	l.byClient[client]++
	return true
}

func (l *callLimit) end(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.byClient[client]--; l.byClient[client] == 0 {
		delete(l.byClient, client)
	}
}

// limitCalls refuses calls of a client that has too many under way.
func (s *Server) limitCalls(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		client := clientOf(ctx)
		if !s.callLimit.begin(client) {
			return tools.Failed(jobs.ErrManyCalls), nil
		}
		defer s.callLimit.end(client)
		return next(ctx, request)
	}
}
