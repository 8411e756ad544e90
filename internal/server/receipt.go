package server

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/tools"
)

type deliveryKey struct{}

// withDelivery returns a context whose tool calls add their images to the
// delivery.
func (s *Server) withDelivery(ctx context.Context) (context.Context, *jobs.Delivery) {
	d := s.pipeline.NewDelivery()
	return context.WithValue(ctx, deliveryKey{}, d), d
}

// identifyCaller passes the caller of a request to the tools. Without a
// delivery the result goes to a caller inside the process, who has it at once.
func (s *Server) identifyCaller(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		delivery, ok := ctx.Value(deliveryKey{}).(*jobs.Delivery)
		if !ok {
			delivery = s.pipeline.NewDelivery()
			defer delivery.Confirm(ctx)
		}
		return next(tools.WithCaller(ctx, tools.Caller{Owner: ownerOf(ctx), Client: clientOf(ctx), Inline: inline(ctx), Delivery: delivery}), request)
	}
}

// settle ends a delivery: written reports whether the response was.
func settle(ctx context.Context, d *jobs.Delivery, written bool) {
	if written {
		d.Confirm(ctx)
		return
	}
	d.Cancel()
}
