package server

import (
	"context"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/tools"
)

// How many tool calls are under way at once. Those that make images wait in
// a queue of their own.
const (
	maxCalls       = 1024
	maxClientCalls = 256
)

// share bounds something for all clients and for each.
type share struct {
	total, perClient int

	mu       sync.Mutex
	used     int
	byClient map[string]int
}

func newShare(total, perClient int) *share {
	return &share{total: total, perClient: perClient, byClient: map[string]int{}}
}

// take is false when there is not so much left.
func (s *share) take(client string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+n > s.total || s.byClient[client]+n > s.perClient {
		return false
	}
	s.used += n
	s.byClient[client] += n
	return true
}

func (s *share) give(client string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	if s.byClient[client] -= n; s.byClient[client] == 0 {
		delete(s.byClient, client)
	}
}

// turns bounds how many of something go on at once, for all and for each
// client; more wait.
type turns struct {
	all       chan struct{}
	perClient int

	mu       sync.Mutex
	byClient map[string]*clientTurns
}

type clientTurns struct {
	own   chan struct{}
	users int // that have a turn or wait for one
}

func newTurns(total, perClient int) *turns {
	return &turns{all: make(chan struct{}, total), perClient: perClient, byClient: map[string]*clientTurns{}}
}

// begin waits for a turn until ctx ends; ok is false then.
func (t *turns) begin(ctx context.Context, client string) (end func(), ok bool) {
	t.mu.Lock()
	c := t.byClient[client]
	if c == nil {
		c = &clientTurns{own: make(chan struct{}, t.perClient)}
		t.byClient[client] = c
	}
	c.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if c.users--; c.users == 0 {
			delete(t.byClient, client)
		}
	}
	select {
	case c.own <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, false
	}
	select {
	case t.all <- struct{}{}:
	case <-ctx.Done():
		<-c.own
		leave()
		return nil, false
	}
	return func() {
		<-t.all
		<-c.own
		leave()
	}, true
}

// tooMany answers a request for which there is no room; nil for one that has
// no words for it.
func tooMany(method string) mcp.JSONRPCMessage {
	if method != string(mcp.MethodToolsCall) {
		return nil
	}
	return mcp.JSONRPCResponse{Result: tools.ErrorResult(jobs.ErrManyCalls)}
}

// limitCalls refuses calls of a client that has too many under way.
func (s *Server) limitCalls(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		client := clientOf(ctx)
		if !s.calls.take(client, 1) {
			return tools.ErrorResult(jobs.ErrManyCalls), nil
		}
		defer s.calls.give(client, 1)
		return next(ctx, request)
	}
}
