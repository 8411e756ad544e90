package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools/prompts"
	"zai-image-mcp/tools/viewer"
)

// How long clients may cache results, in milliseconds. Images never change.
const (
	listsTTL  = 5 * 60 * 1000
	imagesTTL = 60 * 60 * 1000
)

// protocolError is a JSON-RPC error as the client gets it.
type protocolError struct {
	code int
	text string
	data any
}

func (e *protocolError) Error() string { return e.text }

func (e *protocolError) response() mcp.JSONRPCMessage {
	return mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(e.code, e.text, e.data)}
}

func invalidParams(text string) *protocolError {
	return &protocolError{code: mcp.INVALID_PARAMS, text: text}
}

// opaque returns the error for a failure whose details are only logged.
func opaque(reference string) *protocolError {
	return &protocolError{code: mcp.INTERNAL_ERROR, text: "internal error, reference " + reference}
}

// dispatch answers a message. mcp-go has a single error code for all failures of
// a handler and lists only registered resources, so resources, prompts and
// completion are answered here.
func (s *Server) dispatch(ctx context.Context, r *transport.Request) mcp.JSONRPCMessage {
	if isInvalid(r) {
		return s.mcp.HandleMessage(ctx, r.Raw) // which answers with the reason
	}
	if wantsChanges(mcp.MCPMethod(r.Method)) {
		s.pipeline.Watch()
	}
	switch mcp.MCPMethod(r.Method) {
	case mcp.MethodResourcesList:
		return answer(ctx, s, r, s.listResources)
	case mcp.MethodResourcesRead:
		return answer(ctx, s, r, s.readResource)
	case mcp.MethodResourcesSubscribe:
		if !isStateless(r) { // protocol 2026-07-28 removed the method
			return answer(ctx, s, r, s.subscribe)
		}
	case mcp.MethodPromptsGet:
		return answer(ctx, s, r, s.getPrompt)
	case mcp.MethodCompletionComplete:
		return answer(ctx, s, r, s.complete)
	case mcp.MethodSubscriptionsListen:
		return s.listen(ctx, r)
	case mcp.MethodToolsList:
		return s.adaptToolList(r, s.mcp.HandleMessage(ctx, r.Raw))
	}
	return s.mcp.HandleMessage(ctx, r.Raw)
}

// wantsChanges reports whether a client that calls a method wants to hear of changes
// by other processes from then on.
func wantsChanges(method mcp.MCPMethod) bool {
	return method == mcp.MethodResourcesList || method == mcp.MethodResourcesSubscribe || method == mcp.MethodSubscriptionsListen
}

// isStateless reports whether a request has protocol 2026-07-28 or a later one.
func isStateless(r *transport.Request) bool { return mcp.IsModernProtocol(r.Meta.ProtocolVersion()) }

// isInvalid reports whether mcp-go refuses a request before it looks at its
// parameters, or ignores it. Notifications are never invalid.
func isInvalid(r *transport.Request) bool {
	return !r.Plain || isStateless(r) && (!mcp.IsValidProtocolVersion(r.Meta.ProtocolVersion()) || r.Meta.ClientCapabilities() == nil)
}

// answer calls handle with the decoded parameters of a request. mcp-go answers
// a request whose parameters cannot be decoded.
func answer[P any](ctx context.Context, s *Server, r *transport.Request, handle func(context.Context, *transport.Request, P) (mcp.ResultMetadata, error)) mcp.JSONRPCMessage {
	var params P
	if r.Params != nil && json.Unmarshal(r.Params, &params) != nil {
		return s.mcp.HandleMessage(ctx, r.Raw)
	}
	result, err := handle(ctx, r, params)
	if failure, ok := errors.AsType[*protocolError](err); ok {
		return failure.response()
	}
	if err != nil {
		return (&protocolError{code: mcp.INTERNAL_ERROR, text: err.Error()}).response()
	}
	if isStateless(r) {
		s.decorate(result, r.Method)
	}
	return mcp.JSONRPCResponse{Result: result}
}

// decorate adds to a result what protocol 2026-07-28 requires.
func (s *Server) decorate(result mcp.ResultMetadata, method string) {
	if result.GetResultType() == "" {
		result.SetResultType(mcp.ResultTypeComplete)
	}
	result.EnsureResultMeta().SetServerInfo(s.about)
	if cacheable, ok := result.(mcp.CacheHintSetter); ok {
		var ttl int64 // resources/list changes with each image
		if method == string(mcp.MethodResourcesRead) {
			ttl = imagesTTL
		}
		cacheable.SetCacheHints(ttl, mcp.CacheScopePrivate)
	}
}

func (s *Server) listResources(ctx context.Context, r *transport.Request, p mcp.PaginatedParams) (mcp.ResultMetadata, error) {
	page, err := s.resources.ListPage(ctx, r.Owner, string(p.Cursor))
	switch {
	case errors.Is(err, resources.ErrBadCursor):
		return nil, invalidParams(err.Error())
	case err != nil:
		s.log.ErrorContext(ctx, "failed to list images", "error", err)
		return nil, &protocolError{code: mcp.INVALID_REQUEST, text: resources.ErrStorage.Error()}
	}
	return &page, nil
}

func (s *Server) readResource(ctx context.Context, r *transport.Request, p mcp.ReadResourceParams) (mcp.ResultMetadata, error) {
	if viewer.Is(p.URI) {
		return &mcp.ReadResourceResult{Contents: []mcp.ResourceContents{viewer.Contents(p.URI)}}, nil
	}
	contents, err := s.resources.Read(ctx, r.Owner, p.URI)
	switch {
	case errors.Is(err, resources.ErrNotFound):
		return nil, notFound(r, p.URI)
	case err != nil:
		f := jobs.Describe(err)
		level, code := slog.LevelError, mcp.INTERNAL_ERROR
		if f.Kind == resources.KindInvalidArgument { // the request was refused, nothing failed
			level, code = slog.LevelInfo, mcp.INVALID_PARAMS
		}
		s.log.Log(ctx, level, "failed to read a resource", "uri", limit.Clip(p.URI), "error", err)
		return nil, &protocolError{code: code, text: fmt.Sprintf("%s %s (kind: %s)", f.Message, f.Hint, f.Kind)}
	}
	return &mcp.ReadResourceResult{Contents: contents}, nil
}

// notFound names a resource that does not exist, as both eras of the protocol
// require, each with its own code.
// https://modelcontextprotocol.io/specification/2025-11-25/server/resources#error-handling
func notFound(r *transport.Request, uri string) error {
	code := mcp.RESOURCE_NOT_FOUND
	if isStateless(r) {
		code = mcp.INVALID_PARAMS
	}
	uri = limit.ClipURI(uri)
	return &protocolError{code, "resource not found: " + uri, map[string]string{"uri": uri}}
}

func (s *Server) subscribe(_ context.Context, r *transport.Request, p mcp.SubscribeParams) (mcp.ResultMetadata, error) {
	if p.URI == "" {
		return nil, invalidParams("uri is required")
	}
	session, ok := r.Session.(server.SessionWithResourceSubscriptionsErr)
	if !ok {
		return nil, errors.New("the session has no subscriptions")
	}
	return &mcp.Result{}, subscriptionError(session.SubscribeToResourceErr(p.URI))
}

// listen serves subscriptions/listen until its client or the server ends it.
func (s *Server) listen(ctx context.Context, r *transport.Request) mcp.JSONRPCMessage {
	var params mcp.SubscriptionsListenParams
	if json.Unmarshal(r.Params, &params) == nil && isStateless(r) {
		err := subscriptionError(transport.CheckSubscriptions(params.Notifications.ResourceSubscriptions))
		if failure, ok := errors.AsType[*protocolError](err); ok {
			return failure.response()
		}
	}
	response := s.mcp.HandleMessage(ctx, r.Raw)
	complete, ok := response.(mcp.JSONRPCResponse)
	if !ok {
		return response
	}
	if result, ok := complete.Result.(mcp.SubscriptionsListenResult); ok {
		result.EnsureResultMeta().SetSubscriptionID(r.ID) // as written: mcp-go rounds large numbers
		complete.Result = result
	}
	return complete
}

// subscriptionError returns the protocol error for a *transport.SubscriptionError.
func subscriptionError(err error) error {
	if wrong, ok := errors.AsType[*transport.SubscriptionError](err); ok {
		return invalidParams("Invalid params: " + wrong.Text)
	}
	return err
}

func (s *Server) getPrompt(ctx context.Context, _ *transport.Request, p mcp.GetPromptParams) (mcp.ResultMetadata, error) {
	handler, ok := s.prompts[p.Name]
	if !ok {
		return nil, invalidParams(fmt.Sprintf("prompt '%s' not found: %v", p.Name, server.ErrPromptNotFound))
	}
	result, err := handler(ctx, mcp.GetPromptRequest{Params: p})
	if wrong, ok := errors.AsType[*prompts.ArgumentError](err); ok {
		return nil, invalidParams(wrong.Text)
	}
	return result, err
}

func (s *Server) complete(ctx context.Context, r *transport.Request, p mcp.CompleteParams) (mcp.ResultMetadata, error) {
	result := &mcp.CompleteResult{}
	switch ref := p.Ref.(type) {
	case mcp.PromptReference:
		completion, err := s.completion.CompletePromptArgument(ctx, ref.Name, p.Argument, p.Context)
		if err != nil {
			return nil, err
		}
		result.Completion = *completion
	case mcp.ResourceReference:
		completion, err := s.resources.Complete(ctx, r.Owner, ref.URI, p.Argument)
		if err != nil {
			return nil, err
		}
		result.Completion = completion
	default:
		return nil, &protocolError{code: mcp.INVALID_REQUEST, text: fmt.Sprintf("unknown reference type: %v", ref)}
	}
	return result, nil
}

// readByDispatch is the handler that mcp-go requires for a template. It is not
// called: dispatch answers resources/read.
func readByDispatch(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	return nil, server.ErrResourceNotFound
}
