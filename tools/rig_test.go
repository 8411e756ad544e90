package tools_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// rig is the tools behind a real MCP session, over a sandbox.
type rig struct {
	*client.Client
	sandbox *sandbox.Sandbox
	library *resources.Library

	mu       sync.Mutex
	progress []map[string]any
}

func newRig(t *testing.T, change func(*tools.Config, *jobs.Config)) *rig {
	t.Helper()
	r := &rig{sandbox: sandbox.New(sandbox.Options{MaxConcurrent: sandbox.Unlimited})}
	api := httptest.NewServer(r.sandbox)
	t.Cleanup(api.Close)
	c, err := zai.NewClient("key", zai.WithBaseURL(api.URL+sandbox.BasePath), zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 }))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	quiet := slog.New(slog.DiscardHandler)
	r.library = resources.New(resources.Options{Folder: t.TempDir(), Now: time.Now, Random: rand.Reader, Log: quiet})
	t.Cleanup(func() { assert.NoError(t, r.library.Close()) })
	jc := jobs.Config{Client: c, Library: r.library, Process: "test", MaxConcurrent: 5, Sandbox: true, Now: time.Now, Log: quiet}
	tc := tools.Config{
		Library: r.library, Region: zai.Global, DefaultModel: zai.DefaultModel, Wait: 30 * time.Second, PreviewWait: time.Minute, Inline: tools.InlinePreview,
		Sandbox: true, Locator: resources.Locator{Path: true}, Now: time.Now, Log: quiet,
	}
	if change != nil {
		change(&tc, &jc)
	}
	tc.Pipeline = jobs.New(jc)
	t.Cleanup(func() { _ = tc.Pipeline.Drain(context.Background()) })
	list, err := tools.New(tc)
	require.NoError(t, err)
	s := server.NewMCPServer("test", "1", server.WithToolHandlerMiddleware(func(next server.ToolHandlerFunc) server.ToolHandlerFunc {
		return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			delivery := tc.Pipeline.NewDelivery()
			defer delivery.Confirm(ctx)
			return next(tools.WithCaller(ctx, tools.Caller{Owner: "local", Delivery: delivery}), request)
		}
	}))
	s.AddTools(list...)
	r.Client, err = client.NewInProcessClient(s)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context()))
	t.Cleanup(func() { r.Close() })
	r.OnNotification(func(n mcp.JSONRPCNotification) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.progress = append(r.progress, n.Params.AdditionalFields)
	})
	_, err = r.Initialize(t.Context(), mcp.InitializeRequest{Params: mcp.InitializeParams{ProtocolVersion: mcp.LATEST_LEGACY_PROTOCOL_VERSION}})
	require.NoError(t, err)
	return r
}

// structured is what a result's structuredContent may hold.
type structured struct {
	Images        []resources.Entry  `json:"images"`
	SpentTodayUSD float64            `json:"spent_today_usd"`
	Sandbox       *bool              `json:"sandbox"`
	NextCursor    string             `json:"next_cursor"`
	Notes         []string           `json:"notes"`
	Error         *resources.Failure `json:"error"`
}

// call calls a tool with arguments given as JSON.
func (r *rig) call(t *testing.T, tool, arguments string) (*mcp.CallToolResult, structured) {
	t.Helper()
	request := mcp.CallToolRequest{}
	request.Params.Name = tool
	request.Params.Arguments = json.RawMessage(arguments)
	request.Params.Meta = &mcp.Meta{ProgressToken: "p"}
	result, err := r.CallTool(t.Context(), request)
	require.NoError(t, err)
	raw, err := json.Marshal(result.StructuredContent)
	require.NoError(t, err)
	var s structured
	require.NoError(t, json.Unmarshal(raw, &s))
	return result, s
}

func text(t *testing.T, result *mcp.CallToolResult) string {
	t.Helper()
	require.NotEmpty(t, result.Content)
	c, ok := result.Content[0].(mcp.TextContent)
	require.True(t, ok, "text comes first")
	return c.Text
}
