package mcpserver

import (
	"context"
	"maps"
	"slices"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/resources"
)

// subscriber is a session that receives notifications about an owner's images.
type subscriber struct {
	server.ClientSession
	owner string
}

// OpenSession implements transport.Handler.
func (s *Server) OpenSession(ctx context.Context, session server.ClientSession) error {
	if err := s.mcp.RegisterSession(ctx, session); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[session.SessionID()] = subscriber{session, transport.RequestFrom(ctx).Owner}
	return nil
}

// CloseSession implements transport.Handler.
func (s *Server) CloseSession(ctx context.Context, session server.ClientSession) {
	s.mcp.UnregisterSession(ctx, session.SessionID())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session.SessionID())
}

// imageDone counts an image that this process made, and notifies the clients of its
// owner on this replica, whichever process made it.
func (s *Server) imageDone(e jobs.Event) {
	if !e.Remote {
		s.telemetry.ImageDone(e.Image, e.Resumed)
	}
	s.notifyOwner(e.Image)
}

// notifyOwner notifies the owner's clients only.
func (s *Server) notifyOwner(i resources.Image) {
	s.mu.Lock()
	sessions := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	for _, session := range sessions {
		if session.owner == i.Owner && session.Initialized() {
			s.notifySession(session, i)
		}
	}
}

func (s *Server) notifySession(session subscriber, i resources.Image) {
	filter, active := mcp.SubscriptionFilter{}, false
	if filtered, ok := session.ClientSession.(server.SessionWithSubscriptionFilter); ok {
		filter, active = filtered.SubscriptionFilter()
	}
	if i.State == resources.Saved && (!active || filter.ResourcesListChanged) {
		s.send(session, mcp.MethodNotificationResourcesListChanged, nil)
	}
	subscribed, ok := session.ClientSession.(server.SessionWithResourceSubscriptions)
	if !ok {
		return
	}
	for _, view := range []resources.View{resources.Original, resources.Preview, resources.Metadata} {
		if uri := resources.URI(i.ID, view); subscribed.IsSubscribedToResource(uri) {
			s.send(session, mcp.MethodNotificationResourceUpdated, map[string]any{"uri": uri})
		}
	}
}

// send sends a notification, or drops it if the client does not read.
func (s *Server) send(session subscriber, method string, params map[string]any) {
	n := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION, Notification: mcp.Notification{
		Method: method, Params: mcp.NotificationParams{AdditionalFields: params},
	}}
	select {
	case session.NotificationChannel() <- n:
	default:
		s.log.Debug("dropped a notification", "session", session.SessionID(), "method", method)
	}
}
