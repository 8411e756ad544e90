package transport

import (
	"context"
	"log/slog"
	"net/url"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/auth"
)

// Handler answers the messages of all clients.
type Handler interface {
	// OpenSession makes a session known, so that it receives notifications.
	OpenSession(ctx context.Context, s server.ClientSession) error
	// CloseSession forgets a session.
	CloseSession(ctx context.Context, s server.ClientSession)
	// Notify handles a notification from a client.
	Notify(ctx context.Context, r *Request)
	// Begin prepares the response to a request.
	Begin(r *Request) Call
	// Overloaded returns the response to a request whose client has too much in
	// flight. It is nil for requests that have no result for this case.
	Overloaded(r *Request) mcp.JSONRPCMessage
}

// Call is one request being answered. Run is called at most once, when the
// request has its Session. Confirm and Cancel tell what became of the response;
// the first of them counts, and Cancel may come while Run still works.
type Call interface {
	// Run returns the response; ctx ends when the client no longer wants it.
	Run(ctx context.Context) mcp.JSONRPCMessage
	// Confirm records that the response was written to the client.
	Confirm(ctx context.Context)
	// Cancel records that the client did not get the response.
	Cancel()
}

// Caller is who a request comes from.
type Caller struct {
	auth.Principal
	Client    string     // one conversation: shares its quotas with no other
	RequestID string     // of the HTTP request, for the log; empty over stdio
	Query     url.Values // of the endpoint's URL
}

// Request is a message with all that a Handler needs to answer it.
type Request struct {
	Caller
	Message
	Session server.ClientSession // nil until the transport has found it
}

type requestKey struct{}

// WithRequest returns a context that carries r. Transports replace a request
// that has a Caller alone by one with its message.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// WithCaller returns a context of a request whose message is not read yet.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return WithRequest(ctx, &Request{Caller: c})
}

// RequestFrom returns the request that ctx belongs to. Without one it returns a
// request of nobody, which owns nothing.
func RequestFrom(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

func callerFrom(ctx context.Context) Caller { return RequestFrom(ctx).Caller }

// LogAttrs returns the attributes that identify an HTTP request in the log.
func LogAttrs(ctx context.Context) []slog.Attr {
	c := callerFrom(ctx)
	if c.RequestID == "" {
		return nil
	}
	attrs := []slog.Attr{slog.String("request", c.RequestID)}
	if c.Owner != "" {
		attrs = append(attrs, slog.String("owner", c.Owner))
	}
	return attrs
}
