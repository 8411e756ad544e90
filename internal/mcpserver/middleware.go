package mcpserver

import (
	"context"
	"crypto/rand"
	"runtime/debug"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/tools"
)

// logPanic logs a panic and returns the reference that the client gets: the
// text of a panic may contain secrets, so it is only logged.
func (s *Server) logPanic(ctx context.Context, where string, value any) (reference string) {
	reference = rand.Text()[:8]
	s.log.ErrorContext(ctx, "recovered a panic", "where", where, "reference", reference, "panic", value, "stack", string(debug.Stack()))
	return reference
}

// recoverTool turns a panic or an error of a tool into an opaque result: hosts
// do not pass protocol errors to the model.
func (s *Server) recoverTool(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (result *mcp.CallToolResult, err error) {
		failed := func(value any) *mcp.CallToolResult {
			return tools.ErrorResult(&jobs.InternalError{Reference: s.logPanic(ctx, "tool "+request.Params.Name, value)})
		}
		defer func() {
			if value := recover(); value != nil {
				result, err = failed(value), nil
			}
		}()
		result, err = next(ctx, request)
		if err != nil {
			return failed(err), nil
		}
		return result, nil
	}
}

// limitCalls refuses calls of a client that has too many in flight.
func (s *Server) limitCalls(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		release, ok := s.calls.Take(transport.RequestFrom(ctx).Client, 1)
		if !ok {
			return tools.ErrorResult(jobs.ErrManyCalls), nil
		}
		defer release()
		return next(ctx, request)
	}
}

// restoreProgressToken gives a call its progress token as the client wrote it.
// mcp-go reads numbers as float64, which rounds large ones, and the client
// would not recognise its own token.
func restoreProgressToken(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		token := transport.RequestFrom(ctx).ProgressToken
		if token != nil && request.Params.Meta != nil && request.Params.Meta.ProgressToken != nil {
			meta := *request.Params.Meta
			meta.ProgressToken = token
			request.Params.Meta = &meta
		}
		return next(ctx, request)
	}
}

// observe counts, traces and logs calls of tools.
func (s *Server) observe(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		began := time.Now()
		tool := request.Params.Name
		ctx, span := s.telemetry.Tracer().Start(withRemoteTrace(ctx, request), "tools/call "+tool, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		result, err := next(ctx, request)
		outcome := tools.Outcome(result)
		if outcome != tools.OutcomeOK {
			span.SetStatus(codes.Error, outcome)
		}
		took := time.Since(began)
		s.telemetry.ToolCall(ctx, tool, outcome, took)
		s.log.InfoContext(ctx, "call", "tool", tool, "outcome", outcome, "seconds", took.Seconds())
		return result, err
	}
}

// withRemoteTrace continues the caller's trace, which _meta names.
// https://modelcontextprotocol.io/specification/2026-07-28/basic
func withRemoteTrace(ctx context.Context, request mcp.CallToolRequest) context.Context {
	meta := request.Params.Meta
	if meta == nil {
		return ctx
	}
	carrier := propagation.MapCarrier{}
	for _, field := range (propagation.TraceContext{}).Fields() {
		if value, ok := meta.AdditionalFields[field].(string); ok {
			carrier.Set(field, value)
		}
	}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}
