package transport

import (
	"crypto/rand"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/limit"
)

// subscription is the session of one subscriptions/listen request. A client may
// have several on one connection; each has its own filter and URIs, and each of
// its notifications names it.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/subscriptions
type subscription struct {
	requestSession
	request      json.RawMessage // id of the request, as written
	acknowledged bool            // used only by the goroutine that relays notifications
}

func newSubscription(request json.RawMessage, owner string) *subscription {
	return &subscription{
		requestSession: requestSession{newSession("subscription-"+rand.Text(), owner, 0), make(chan mcp.JSONRPCNotification, limit.SubscriptionNotifications)},
		request:        request,
	}
}

// tag names the subscription in a notification. It reports false for
// notifications before the acknowledgement, which must be the first.
func (s *subscription) tag(n *mcp.JSONRPCNotification) bool {
	if n.Method == mcp.MethodNotificationSubscriptionsAcknowledged {
		s.acknowledged = true
	}
	n.Params.Meta = map[string]any{mcp.MetaKeySubscriptionID: s.request}
	return s.acknowledged
}
