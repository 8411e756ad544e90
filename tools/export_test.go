package tools

import (
	"context"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// DecodeGenerate decodes the arguments of generate_image, for the fuzz test.
func DecodeGenerate(request mcp.CallToolRequest) (prompt string, n int, err error) {
	a, err := decodeArguments(request, generateArguments{})
	return a.Prompt, a.N, err
}

// Quiet is the shortest time between the last notification and the result.
const Quiet = quiet

// NotifyAndEnd sends one notification and then waits until the result may
// follow.
func NotifyAndEnd(ctx context.Context, request mcp.CallToolRequest) {
	r := newProgressReporter(ctx, request, time.Now, 1, 0)
	r.notify("generating", 100)
	r.settle()
}
