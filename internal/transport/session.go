package transport

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/limit"
)

// session is a client that outlives one request, or the client of a single
// stateless request.
type session struct {
	id, owner     string
	notifications chan mcp.JSONRPCNotification // that belong to no request
	initialized   atomic.Bool
	requests      requests
	expiry        expiry // of its streams

	mu           sync.Mutex
	info         mcp.Implementation
	capabilities mcp.ClientCapabilities
	version      string // negotiated by a handshake, empty without one
	subscribed   map[string]bool
	filter       mcp.SubscriptionFilter
	filtered     bool // filter is not empty
}

var (
	_ server.SessionWithClientInfo               = (*session)(nil)
	_ server.SessionWithProtocolVersion          = (*session)(nil)
	_ server.SessionWithResourceSubscriptionsErr = (*session)(nil)
	_ server.SessionWithSubscriptionFilter       = (*session)(nil)
)

// newSession returns a session that holds up to buffer notifications until they
// are written; further ones are dropped.
func newSession(id, owner string, buffer int) *session {
	return &session{id: id, owner: owner, notifications: make(chan mcp.JSONRPCNotification, buffer)}
}

// requestSession is the session of one request: its notifications are written
// before the response.
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
	s.info = mcp.Implementation{Name: limit.Clip(info.Name), Version: limit.Clip(info.Version), Title: limit.Clip(info.Title)}
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

// SetProtocolVersion is called when a handshake has negotiated a version.
func (s *session) SetProtocolVersion(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// SubscriptionError is the reason why a client cannot subscribe to a resource.
type SubscriptionError struct{ Text string }

func (e *SubscriptionError) Error() string { return e.Text }

// CheckSubscriptions fails with a *SubscriptionError if one client cannot
// subscribe to all of these resources at once.
func CheckSubscriptions(uris []string) error {
	distinct := map[string]bool{}
	for _, uri := range uris {
		if err := addSubscription(distinct, uri); err != nil {
			return err
		}
	}
	return nil
}

func addSubscription(subscribed map[string]bool, uri string) error {
	switch {
	case subscribed[uri]:
		return nil
	case len(uri) > limit.MaxURI:
		return &SubscriptionError{fmt.Sprintf("no resource has a URI longer than %d bytes", limit.MaxURI)}
	case len(subscribed) >= limit.MaxSubscriptions:
		return &SubscriptionError{fmt.Sprintf("a client can subscribe to %d resources at once: unsubscribe from others first", limit.MaxSubscriptions)}
	}
	subscribed[uri] = true
	return nil
}

// SubscribeToResourceErr implements server.SessionWithResourceSubscriptionsErr.
// It fails with a *SubscriptionError.
func (s *session) SubscribeToResourceErr(uri string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subscribed == nil {
		s.subscribed = map[string]bool{}
	}
	return addSubscription(s.subscribed, uri)
}

// SubscribeToResource implements server.SessionWithResourceSubscriptions.
// mcp-go calls SubscribeToResourceErr instead.
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
	s.filter.ResourceSubscriptions = nil // these are in subscribed
	s.filtered = !filter.IsEmpty()
}

// SubscriptionFilter implements server.SessionWithSubscriptionFilter. From
// protocol 2026-07-28 on, where there is no handshake, a client gets only the
// notifications that it asked for.
func (s *session) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filter, s.version == "" || s.filtered
}
