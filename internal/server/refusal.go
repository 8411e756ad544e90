package server

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/tools/prompts"
)

// refusal is the protocol error that a handler wants its caller to get. The
// library knows one for all of them, "internal error".
type refusal struct {
	mu      sync.Mutex
	details *mcp.JSONRPCErrorDetails
}

type refusalKey struct{}

func withRefusal(ctx context.Context) (context.Context, *refusal) {
	r := &refusal{}
	return context.WithValue(ctx, refusalKey{}, r), r
}

func refuseWith(ctx context.Context, code int, text string, data any) {
	if r, ok := ctx.Value(refusalKey{}).(*refusal); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.details = new(mcp.NewJSONRPCErrorDetails(code, text, data))
	}
}

// apply puts the refusal in place of the library's answer. A resource that is
// not there is named, as both eras of the protocol ask
// (https://modelcontextprotocol.io/specification/2025-11-25/server/resources#error-handling).
func (r *refusal) apply(response mcp.JSONRPCMessage, line json.RawMessage) mcp.JSONRPCMessage {
	failure, ok := response.(mcp.JSONRPCError)
	r.mu.Lock()
	defer r.mu.Unlock()
	if result, complete := response.(mcp.JSONRPCResponse); complete && r.details != nil {
		failure, ok = mcp.JSONRPCError{JSONRPC: result.JSONRPC, ID: result.ID}, true
	}
	if !ok {
		return response
	}
	if r.details != nil {
		failure.Error = *r.details
		return failure
	}
	if uri := missingResource(failure, line); uri != "" {
		failure.Error.Message = "resource not found: " + uri
		failure.Error.Data = map[string]string{"uri": uri}
	}
	return failure
}

// missingResource returns the URI that a client asked for if the library did
// not find it, and "" for all else.
func missingResource(failure mcp.JSONRPCError, line json.RawMessage) string {
	code := failure.Error.Code
	if code != mcp.RESOURCE_NOT_FOUND && code != mcp.INVALID_PARAMS || !strings.Contains(failure.Error.Message, server.ErrResourceNotFound.Error()) {
		return ""
	}
	var request struct {
		Params struct {
			URI string `json:"uri"`
		} `json:"params"`
	}
	if json.Unmarshal(line, &request) != nil {
		return ""
	}
	if uri := request.Params.URI; len(uri) > maxURI {
		return strings.ToValidUTF8(uri[:maxURI], "") + "…"
	}
	return request.Params.URI
}

// explainSubscribe says why a client cannot subscribe. The library would call
// every reason "resource not found".
func explainSubscribe(ctx context.Context, _ any, _ mcp.MCPMethod, _ any, err error) {
	if wrong, ok := errors.AsType[*subscribeError](err); ok {
		refuseWith(ctx, mcp.INVALID_PARAMS, "Invalid params: "+wrong.text, nil)
	}
}

// checkPrompt turns what is wrong with a request for a prompt into "invalid
// params", and panics into something opaque.
func (s *Server) checkPrompt(next server.PromptHandlerFunc) server.PromptHandlerFunc {
	return func(ctx context.Context, request mcp.GetPromptRequest) (result *mcp.GetPromptResult, err error) {
		defer func() {
			if value := recover(); value != nil {
				result, err = nil, errors.New("internal error, reference "+s.logPanic(ctx, "prompt", value))
			}
		}()
		result, err = next(ctx, request)
		if wrong, ok := errors.AsType[*prompts.ArgumentError](err); ok {
			refuseWith(ctx, mcp.INVALID_PARAMS, wrong.Text, nil)
		}
		return result, err
	}
}
