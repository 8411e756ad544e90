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
	// OpenSession registers a session for notifications.
	OpenSession(ctx context.Context, s server.ClientSession) error
	// CloseSession unregisters a session.
	CloseSession(ctx context.Context, s server.ClientSession)
	// Notify handles a notification from a client.
	Notify(ctx context.Context, r *Request)
	// Begin prepares the response to a request.
	Begin(r *Request) Call
	// Overloaded returns the response to a request whose client has too much in
	// flight. It is nil if the method has no result for this case.
	Overloaded(r *Request) mcp.JSONRPCMessage
}

// Call is one request being answered. Run is called at most once, when the
// request has its Session. Confirm and Cancel record whether the response was
// delivered; the first call counts, and Cancel may be called while Run is
// running.
type Call interface {
	// Run returns the response; ctx ends when the client no longer wants it.
	Run(ctx context.Context) mcp.JSONRPCMessage
	// Empty reports whether the delivery of the response need not be recorded.
	Empty() bool
	// Confirm records that the response was written to the client.
	Confirm(ctx context.Context)
	// Cancel records that the client did not get the response.
	Cancel()
}

// Caller identifies the sender of a request.
type Caller struct {
	auth.Principal
	Client    string     // key of the quotas: an authenticated owner, or one conversation of a local client
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
// that has only a Caller by one that also has its message.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// WithCaller returns a context of a request whose message is not read yet.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return WithRequest(ctx, &Request{Caller: c})
}

// RequestFrom returns the request that ctx belongs to. Without one it returns
// an empty request, whose owner has no images.
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
