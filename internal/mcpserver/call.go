package mcpserver

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/tools"
)

var _ transport.Handler = (*Server)(nil)

// call is one request being answered. It implements transport.Call.
type call struct {
	*jobs.Delivery
	server  *Server
	request *transport.Request
}

// Begin implements transport.Handler.
func (s *Server) Begin(r *transport.Request) transport.Call {
	return &call{s.pipeline.NewDelivery(), s, r}
}

// Generates reports whether a request is a call that generates images. It
// decodes the request as mcp-go does.
func (s *Server) Generates(r *transport.Request) bool {
	if r.Method != string(mcp.MethodToolsCall) {
		return false
	}
	var call mcp.CallToolRequest
	return json.Unmarshal(r.Raw, &call) == nil && call.Params.Name == tools.GenerateImage
}

// Run implements transport.Call.
func (c *call) Run(ctx context.Context) mcp.JSONRPCMessage {
	o := overridesOf(c.request)
	ctx = tools.WithCaller(ctx, tools.Caller{Owner: c.request.Owner, Client: c.request.Client, ReadOnly: c.request.ReadOnly, Inline: o.inline, Delivery: c.Delivery})
	return c.server.handle(ctx, c.request, c.server.dispatch)
}

// Notify implements transport.Handler.
func (s *Server) Notify(ctx context.Context, r *transport.Request) {
	s.handle(ctx, r, func(ctx context.Context, r *transport.Request) mcp.JSONRPCMessage {
		return s.mcp.HandleMessage(ctx, r.Raw)
	})
}

// Overloaded implements transport.Handler.
func (s *Server) Overloaded(r *transport.Request) mcp.JSONRPCMessage {
	if r.Method != string(mcp.MethodToolsCall) {
		return nil
	}
	return mcp.JSONRPCResponse{Result: tools.ErrorResult(jobs.ErrManyCalls)}
}

// handle calls f for a message of a session. A panic becomes an opaque error.
func (s *Server) handle(ctx context.Context, r *transport.Request, f func(context.Context, *transport.Request) mcp.JSONRPCMessage) (response mcp.JSONRPCMessage) {
	defer func() {
		if value := recover(); value != nil {
			response = opaque(s.logPanic(ctx, "message", value)).response()
		}
	}()
	return f(s.mcp.WithContext(ctx, r.Session), r)
}
