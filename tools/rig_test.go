package tools_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// rig holds an MCP client with a session to the tools, which use a sandbox.
type rig struct {
	*client.Client
	sandbox  *sandbox.Sandbox
	library  *resources.Library
	pipeline *jobs.Pipeline

	mu       sync.Mutex
	progress []map[string]any
}

// newRig returns a rig whose sandbox is an HTTP server. change may be nil.
func newRig(t *testing.T, change func(*tools.Config, *jobs.Config)) *rig {
	t.Helper()
	api := testrig.API(t)
	r := &rig{sandbox: api.Sandbox}
	r.connect(t, api.Client, change)
	return r
}

// inBubble runs a test in a synctest bubble, where delays take no time. The
// rig's sandbox is called without a network, which a bubble does not support.
func inBubble(t *testing.T, change func(*tools.Config, *jobs.Config), test func(t *testing.T, r *rig)) {
	t.Helper()
	inBubbleOf(t, func(*testing.T) func(*tools.Config, *jobs.Config) { return change }, test)
}

// inBubbleOf is inBubble for a change that needs the bubble's own testing.T, for cleanup.
func inBubbleOf(t *testing.T, change func(*testing.T) func(*tools.Config, *jobs.Config), test func(t *testing.T, r *rig)) {
	t.Helper()
	testrig.NeedLocal(t, "a bubble of synctest has no network")
	synctest.Test(t, func(t *testing.T) {
		r := &rig{sandbox: sandbox.New(sandbox.Options{MaxConcurrent: sandbox.Unlimited})}
		c, err := zai.NewClient("key", zai.WithBaseURL("http://127.0.0.1"+sandbox.BasePath),
			zai.WithHTTPClient(&http.Client{Transport: testrig.Transport{Handler: r.sandbox}}))
		require.NoError(t, err)
		t.Cleanup(c.Close)
		r.connect(t, c, change(t))
		test(t, r)
	})
}

// connect starts the tools and opens a session with them.
func (r *rig) connect(t *testing.T, api *zai.Client, change func(*tools.Config, *jobs.Config)) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	r.library = testrig.Library(t)
	jc := jobs.Config{Client: api, Library: r.library, Process: rand.Text(), MaxConcurrent: 5, Sandbox: true, Now: time.Now, Log: quiet}
	tc := tools.Config{
		Library: r.library, Region: zai.Global, DefaultModel: zai.DefaultModel, Wait: 30 * time.Second, PreviewWait: time.Minute, Inline: tools.InlinePreview,
		Sandbox: true, Locator: resources.Locator{Path: true}, Now: time.Now, Log: quiet,
	}
	if change != nil {
		change(&tc, &jc)
	}
	r.pipeline = jobs.New(jc)
	t.Cleanup(func() {
		r.sandbox.Close() // ends the delays of responses
		_ = r.pipeline.Drain(context.Background())
	})
	tc.Pipeline = r.pipeline
	list, err := tools.New(tc)
	require.NoError(t, err)
	s := server.NewMCPServer("test", "1", server.WithToolHandlerMiddleware(r.identifyCaller))
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
}

// identifyCaller sets the Caller of a call and confirms the delivery of its
// result, unless the test chose another Caller, or none, with as.
func (r *rig) identifyCaller(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		switch caller := ctx.Value(callerKey{}).(type) {
		case tools.Caller:
			return next(tools.WithCaller(ctx, caller), request)
		case noCaller:
			return next(ctx, request)
		}
		delivery := r.pipeline.NewDelivery()
		defer delivery.Confirm(ctx)
		return next(tools.WithCaller(ctx, tools.Caller{Owner: "local", Delivery: delivery}), request)
	}
}

type callerKey struct{}

// noCaller selects calls without a Caller.
type noCaller struct{}

// as returns a context for calls with the given Caller, or with none.
func as[C tools.Caller | noCaller](ctx context.Context, caller C) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// call calls a tool with arguments given as JSON.
func (r *rig) call(t *testing.T, tool, arguments string) (*mcp.CallToolResult, testrig.Structured) {
	t.Helper()
	return r.callWith(t, t.Context(), tool, arguments)
}

func (r *rig) callWith(t *testing.T, ctx context.Context, tool, arguments string) (*mcp.CallToolResult, testrig.Structured) {
	t.Helper()
	request := mcp.CallToolRequest{}
	request.Params.Name = tool
	request.Params.Arguments = json.RawMessage(arguments)
	request.Params.Meta = &mcp.Meta{ProgressToken: "p"}
	result, err := r.CallTool(ctx, request)
	require.NoError(t, err)
	return result, testrig.StructuredContent(t, result.StructuredContent)
}

// text returns the text of a result.
func text(t *testing.T, result *mcp.CallToolResult) string {
	t.Helper()
	require.NotEmpty(t, result.Content)
	c, ok := result.Content[0].(mcp.TextContent)
	require.True(t, ok, "text comes first")
	return c.Text
}
