package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// subscription is the session of one subscriptions/listen request. A client may
// have several on one connection; each has its own filter and URIs, and each of
// its notifications names it.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/subscriptions
type subscription struct {
	*session
	request      json.RawMessage // id of the request, as written
	own          chan mcp.JSONRPCNotification
	acknowledged bool // only the goroutine that passes notifications on uses it
}

func newSubscription(request json.RawMessage, owner string) *subscription {
	const buffer = 64
	return &subscription{
		session: newSession("subscription-"+rand.Text(), owner, 0), request: request, own: make(chan mcp.JSONRPCNotification, buffer),
	}
}

// NotificationChannel implements server.ClientSession.
func (s *subscription) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.own }

// tag names the subscription in a notification. It is false for news from
// before the acknowledgement, which has to be the first that the client hears.
func (s *subscription) tag(n *mcp.JSONRPCNotification) bool {
	if n.Method == mcp.MethodNotificationSubscriptionsAcknowledged {
		s.acknowledged = true
	}
	n.Params.Meta = map[string]any{mcp.MetaKeySubscriptionID: s.request}
	return s.acknowledged
}

// nameSubscription puts the id of a subscription into its result as the client
// wrote it; the library has rounded large numbers.
func nameSubscription(ctx context.Context, _ any, _ *mcp.SubscriptionsListenRequest, result *mcp.SubscriptionsListenResult) {
	if s, ok := server.ClientSessionFromContext(ctx).(*subscription); ok {
		result.EnsureResultMeta().SetSubscriptionID(s.request)
	}
}

// recipient hears what is sent ahead of a response.
type recipient interface {
	notify(n mcp.JSONRPCNotification)
	beat()
}

// relay passes on what is sent ahead of a response, and returns the response;
// nil when ctx ends before.
func relay(ctx context.Context, own <-chan mcp.JSONRPCNotification, done <-chan mcp.JSONRPCMessage, beats <-chan time.Time, to recipient) mcp.JSONRPCMessage {
	for {
		select {
		case n := <-own:
			to.notify(n)
		case <-beats:
			to.beat()
		case response := <-done:
			for {
				select {
				case n := <-own:
					to.notify(n)
					continue
				default:
				}
				return response
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// subscriber is the client of a subscription on a connection.
type subscriber struct {
	*connection
	subscription *subscription
}

func (s subscriber) notify(n mcp.JSONRPCNotification) {
	if !s.subscription.tag(&n) {
		return
	}
	if err := s.out.notify(n); err != nil {
		s.log.DebugContext(s.base, "failed to write a notification", "error", err)
	}
}

func (s subscriber) beat() {} // the connection has its own

// subscribe serves a subscription until ctx ends.
func (c *connection) subscribe(ctx context.Context, id json.RawMessage, line []byte) mcp.JSONRPCMessage {
	s := newSubscription(id, c.session.owner)
	if err := c.mcp.RegisterSession(ctx, s); err != nil {
		c.log.ErrorContext(ctx, "failed to register a subscription", "error", err)
		return mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(mcp.INTERNAL_ERROR, "internal error", nil)}
	}
	defer c.mcp.UnregisterSession(ctx, s.SessionID())
	done := make(chan mcp.JSONRPCMessage, 1)
	go func() { done <- c.handle(c.mcp.WithContext(ctx, s), line) }()
	return relay(c.base, s.own, done, nil, subscriber{c, s})
}
