package server

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

type lineKey struct{}

// withLine keeps the message that is being handled, for what the library does
// not hand on as it was written.
func withLine(ctx context.Context, line json.RawMessage) context.Context {
	return context.WithValue(ctx, lineKey{}, line)
}

// keepToken gives a call its progress token as the client wrote it. The library
// reads numbers as float64, which rounds large ones, and the client would not
// know its own token again.
func keepToken(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		line, known := ctx.Value(lineKey{}).(json.RawMessage)
		if !known || request.Params.Meta == nil || request.Params.Meta.ProgressToken == nil {
			return next(ctx, request)
		}
		var message struct {
			Params struct {
				Meta struct {
					Token json.RawMessage `json:"progressToken"`
				} `json:"_meta"`
			} `json:"params"`
		}
		if json.Unmarshal(line, &message) == nil && message.Params.Meta.Token != nil {
			meta := *request.Params.Meta
			meta.ProgressToken = message.Params.Meta.Token
			request.Params.Meta = &meta
		}
		return next(ctx, request)
	}
}
