package server

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime/debug"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/tools"
)

// A panic's text may hold anything, so only the log gets it; callers get a
// reference to find it there.

func (s *Server) logPanic(ctx context.Context, where string, value any) (reference string) {
	reference = rand.Text()[:8]
	s.log.ErrorContext(ctx, "panic", "where", where, "reference", reference, "panic", value, "stack", string(debug.Stack()))
	return reference
}

func (s *Server) recoverTool(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (result *mcp.CallToolResult, err error) {
		defer func() {
			if value := recover(); value != nil {
				reference := s.logPanic(ctx, "tool "+request.Params.Name, value)
				result, err = internalFailure(reference), nil
			}
		}()
		result, err = next(ctx, request)
		if err != nil {
			// An error here would be a protocol error, which no model sees.
			reference := s.logPanic(ctx, "tool "+request.Params.Name, err)
			result, err = internalFailure(reference), nil
		}
		return result, err
	}
}

func internalFailure(reference string) *mcp.CallToolResult {
	return tools.ErrorResult(&jobs.InternalError{Reference: reference})
}

func (s *Server) recoverResource(next server.ResourceHandlerFunc) server.ResourceHandlerFunc {
	return func(ctx context.Context, request mcp.ReadResourceRequest) (contents []mcp.ResourceContents, err error) {
		defer func() {
			if value := recover(); value != nil {
				contents, err = nil, errors.New("internal error, reference "+s.logPanic(ctx, "resource", value))
			}
		}()
		contents, err = next(ctx, request)
		if err != nil {
			s.log.ErrorContext(ctx, "resource cannot be read", "uri", clip(request.Params.URI), "error", err)
			f := jobs.Describe(err)
			err = errors.New(f.Message + " " + f.Hint + " (kind: " + string(f.Kind) + ")")
		}
		return contents, err
	}
}
