package tools

import (
	"context"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// DecodeGenerate lets the fuzzer reach the decoder alone.
func DecodeGenerate(request mcp.CallToolRequest) (prompt string, n int, err error) {
	a, err := decodeArguments(request, generateArguments{})
	return a.Prompt, a.N, err
}

// Quiet is the least time between the last notification and the result.
const Quiet = quiet

// NotifyAndEnd sends one notification and ends the call.
func NotifyAndEnd(ctx context.Context, request mcp.CallToolRequest) {
	r := newProgressReporter(ctx, request, time.Now, 1, 0)
	r.notify("generating", 100)
	r.settle()
}
