package server

import (
	"context"
	"encoding/json"
	"os"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// AddTool lets tests add a tool that misbehaves.
func (s *Server) AddTool(name string, handler server.ToolHandlerFunc) {
	s.mcp.AddTool(mcp.NewTool(name), handler)
}

// AddResource lets tests add a resource that misbehaves.
func (s *Server) AddResource(uri string, handler server.ResourceHandlerFunc) {
	s.mcp.AddResource(mcp.NewResource(uri, uri), handler)
}

// ResultText is a result as it is written, put together again.
func ResultText(result any) (string, error) {
	before, blob, after, err := resultText(result)
	return before + blob + after, err
}

// AddHook lets tests add a hook that misbehaves at each ping.
func (s *Server) AddHook(f func()) {
	s.mcp.GetHooks().AddBeforePing(func(context.Context, any, *mcp.PingRequest) { f() })
}

// Listeners is how many sessions want to hear of new images.
func (s *Server) Listeners() (n int) {
	s.listeners.Range(func(any, any) bool { n++; return true })
	return n
}

// Waiting is how many images wait for a slot.
func (s *Server) Waiting() int { return s.pipeline.Waiting() }

// Open takes a message apart as the transports do.
func Open(line []byte) error {
	_, err := open(line)
	return err
}

// OpenMessage returns what the transports know of a message.
func OpenMessage(line []byte) (id json.RawMessage, method string, err error) {
	e, err := open(line)
	return e.ID, e.Method, err
}

// CheckMode says what is wrong with the permissions of a token file.
func CheckMode(mode os.FileMode, owner, self int) error { return checkMode(mode, owner, self) }
