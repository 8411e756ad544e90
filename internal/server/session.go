package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// session is a client that the server knows for longer than one request, or
// the client of one request from protocol 2026-07-28 on.
type session struct {
	id, owner     string
	notifications chan mcp.JSONRPCNotification
	initialized   atomic.Bool
	calls         calls

	mu           sync.Mutex
	info         mcp.Implementation
	capabilities mcp.ClientCapabilities
	version      string // negotiated by a handshake, "" without one
	subscribed   map[string]bool
	filter       mcp.SubscriptionFilter
	listening    bool // to anything at all
}

var (
	_ server.SessionWithClientInfo               = (*session)(nil)
	_ server.SessionWithProtocolVersion          = (*session)(nil)
	_ server.SessionWithResourceSubscriptionsErr = (*session)(nil)
	_ server.SessionWithSubscriptionFilter       = (*session)(nil)
)

// newSession makes a session that holds so many notifications until they are
// written; more are dropped.
func newSession(id, owner string, buffer int) *session {
	return &session{id: id, owner: owner, notifications: make(chan mcp.JSONRPCNotification, buffer)}
}

// requestSession is a session whose notifications go with the answer to one
// request.
type requestSession struct {
	*session
	own chan mcp.JSONRPCNotification
}

// NotificationChannel implements server.ClientSession.
func (s *requestSession) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.own }

// SessionID implements server.ClientSession.
func (s *session) SessionID() string { return s.id }

// Initialize implements server.ClientSession.
func (s *session) Initialize() { s.initialized.Store(true) }

// Initialized implements server.ClientSession.
func (s *session) Initialized() bool { return s.initialized.Load() }

// NotificationChannel implements server.ClientSession.
func (s *session) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.notifications }

// GetClientInfo implements server.SessionWithClientInfo.
func (s *session) GetClientInfo() mcp.Implementation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// SetClientInfo implements server.SessionWithClientInfo.
func (s *session) SetClientInfo(info mcp.Implementation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// What is kept of a client is bounded.
	s.info = mcp.Implementation{Name: clip(info.Name), Version: clip(info.Version), Title: clip(info.Title)}
}

// GetClientCapabilities implements server.SessionWithClientInfo.
func (s *session) GetClientCapabilities() mcp.ClientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capabilities
}

// SetClientCapabilities implements server.SessionWithClientInfo.
func (s *session) SetClientCapabilities(c mcp.ClientCapabilities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Extensions, c.Experimental = nil, nil
	s.capabilities = c
}

// ProtocolVersion implements server.SessionWithProtocolVersion.
func (s *session) ProtocolVersion() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// SetProtocolVersion is called when a handshake has agreed on a version.
func (s *session) SetProtocolVersion(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// Bounds of what one client can make the server remember.
const (
	maxSubscriptions = 100
	maxURI           = 200 // bytes; ours have at most half of it
	maxName          = 100
)

// clip cuts a client's text for what is kept or logged.
func clip(text string) string {
	if len(text) > maxName {
		return strings.ToValidUTF8(text[:maxName], "") + "…"
	}
	return text
}

// subscribeError says why a client cannot subscribe to a resource.
type subscribeError struct{ text string }

func (e *subscribeError) Error() string { return e.text }

// SubscribeToResourceErr implements server.SessionWithResourceSubscriptionsErr.
func (s *session) SubscribeToResourceErr(uri string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.subscribed[uri]:
		return nil
	case len(uri) > maxURI:
		return &subscribeError{fmt.Sprintf("no resource has a URI longer than %d bytes", maxURI)}
	case len(s.subscribed) >= maxSubscriptions:
		return &subscribeError{fmt.Sprintf("a client can subscribe to %d resources at once: unsubscribe from others first", maxSubscriptions)}
	}
	if s.subscribed == nil {
		s.subscribed = map[string]bool{}
	}
	s.subscribed[uri] = true
	return nil
}

// SubscribeToResource implements server.SessionWithResourceSubscriptions. The
// library calls SubscribeToResourceErr in its place.
func (s *session) SubscribeToResource(uri string) { _ = s.SubscribeToResourceErr(uri) }

// UnsubscribeFromResource implements server.SessionWithResourceSubscriptions.
func (s *session) UnsubscribeFromResource(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.subscribed, uri)
}

// SubscribedResources implements server.SessionWithResourceSubscriptions.
func (s *session) SubscribedResources() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.subscribed))
}

// IsSubscribedToResource implements server.SessionWithResourceSubscriptions.
func (s *session) IsSubscribedToResource(uri string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscribed[uri]
}

// SetSubscriptionFilter implements server.SessionWithSubscriptionFilter.
func (s *session) SetSubscriptionFilter(filter mcp.SubscriptionFilter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter = filter
	s.filter.ResourceSubscriptions = nil // they are in subscribed
	s.listening = !filter.IsEmpty()
}

// SubscriptionFilter implements server.SessionWithSubscriptionFilter. From
// protocol 2026-07-28 on, where there is no handshake, a client hears only
// what it asked to hear.
func (s *session) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filter, s.version == "" || s.listening
}
