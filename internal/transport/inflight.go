package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// requests are the unanswered requests of one session. Each is registered when
// it is read, so that no cancel comes too early for it.
type requests struct {
	mu       sync.Mutex
	inFlight map[string]*inFlight
	closed   bool // the session has ended
}

// inFlight is an unanswered request.
type inFlight struct {
	cancel         context.CancelFunc
	cancelled      bool // by the client, which wants no response
	isSubscription bool // answered only when it ends
}

// add registers a request. It returns nil for an id that is in use, which the
// protocol does not allow.
func (t *requests) add(m *Message, cancel context.CancelFunc) *inFlight {
	r := &inFlight{cancel: cancel, isSubscription: m.is(mcp.MethodSubscriptionsListen)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inFlight == nil {
		t.inFlight = map[string]*inFlight{}
	}
	if t.inFlight[string(m.ID)] != nil {
		return nil
	}
	t.inFlight[string(m.ID)] = r
	if t.closed {
		r.cancelled = true
		r.cancel()
	}
	return r
}

func duplicateID() mcp.JSONRPCMessage {
	return errorResponse(mcp.INVALID_REQUEST, "Invalid request: another request with this id is under way")
}

// remove unregisters a request.
func (t *requests) remove(id json.RawMessage, r *inFlight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inFlight[string(id)] == r {
		delete(t.inFlight, string(id))
	}
}

// cancel cancels a request for notifications/cancelled.
func (t *requests) cancel(id json.RawMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.inFlight[string(bytes.TrimSpace(id))]; r != nil {
		r.cancelled = true
		r.cancel()
	}
}

// endSubscriptions ends the subscriptions. Unlike requests that a client
// cancels, they are answered.
func (t *requests) endSubscriptions() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.inFlight {
		if r.isSubscription {
			r.cancel()
		}
	}
}

// close cancels all requests, including later ones. None of them is answered.
func (t *requests) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, r := range t.inFlight {
		r.cancelled = true
		r.cancel()
	}
}

func (t *requests) isCancelled(r *inFlight) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return r.cancelled
}

// count returns how many requests are in flight.
func (t *requests) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.inFlight)
}
