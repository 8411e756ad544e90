package server

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// calls are the requests of one client that are not answered yet. Each is
// known from the moment it is read, so that no cancel comes too early for it.
type calls struct {
	mu       sync.Mutex
	inFlight map[string]*inFlight
}

// inFlight is a request that is not answered yet.
type inFlight struct {
	cancel    context.CancelFunc
	cancelled bool // by the client: it wants no answer
	endless   bool // a stream of notifications, which only its end answers
}

// add is nil for an id that is in use, which the protocol does not allow.
func (c *calls) add(id json.RawMessage, method string, cancel context.CancelFunc) *inFlight {
	r := &inFlight{cancel: cancel, endless: method == string(mcp.MethodSubscriptionsListen)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight == nil {
		c.inFlight = map[string]*inFlight{}
	}
	if c.inFlight[string(id)] != nil {
		return nil
	}
	c.inFlight[string(id)] = r
	return r
}

func sameID() mcp.JSONRPCMessage {
	return mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(mcp.INVALID_REQUEST, "Invalid request: another request with this id is under way", nil)}
}

// remove comes before the answer: once that is read, the id may be used again.
func (c *calls) remove(id json.RawMessage, r *inFlight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight[string(id)] == r {
		delete(c.inFlight, string(id))
	}
}

// cancel is what notifications/cancelled asks for.
func (c *calls) cancel(id json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.inFlight[string(bytes.TrimSpace(id))]; r != nil {
		r.cancelled = true
		r.cancel()
	}
}

// endStreams ends the streams of notifications. Their clients get the result.
func (c *calls) endStreams() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.inFlight {
		if r.endless {
			r.cancel()
		}
	}
}

// endAll ends everything, for a client that waits for no answer any more.
func (c *calls) endAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.inFlight {
		r.cancelled = true
		r.cancel()
	}
}

func (c *calls) wasCancelled(r *inFlight) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.cancelled
}

// busy is how many requests are under way.
func (c *calls) busy() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.inFlight)
}
