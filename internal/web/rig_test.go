package web_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/telemetry"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/internal/web"
	"zai-image-mcp/resources"
)

func TestMain(m *testing.M) { testrig.Main(m) }

const (
	aliceToken = "alice-0123456789abcdef"
)

// app is mcp-go's server without tools. It counts the requests that reach it.
type app struct {
	mcp      *server.MCPServer
	requests atomic.Int64
}

type call struct {
	*app
	request *transport.Request
}

func (a *app) OpenSession(ctx context.Context, s server.ClientSession) error {
	return a.mcp.RegisterSession(ctx, s)
}

func (a *app) CloseSession(ctx context.Context, s server.ClientSession) {
	a.mcp.UnregisterSession(ctx, s.SessionID())
}
func (a *app) Notify(context.Context, *transport.Request) { a.requests.Add(1) }
func (a *app) Begin(r *transport.Request) transport.Call {
	a.requests.Add(1)
	return call{a, r}
}
func (*app) Overloaded(*transport.Request) mcp.JSONRPCMessage { return nil }
func (*app) Generates(r *transport.Request) bool              { return r.Method == "tools/call" }
func (*app) CheckQuery(url.Values) error                      { return nil }
func (*app) Ready(context.Context) error                      { return nil }
func (*app) Run(context.Context)                              {}
func (*app) StopAccepting()                                   {}
func (*app) Drain(context.Context)                            {}
func (*app) Ending(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Second)
}
func (c call) Run(ctx context.Context) mcp.JSONRPCMessage {
	return c.mcp.HandleMessage(c.mcp.WithContext(ctx, c.request.Session), c.request.Raw)
}
func (call) Empty() bool             { return true }
func (call) Confirm(context.Context) {}
func (call) Cancel()                 {}

// rig is a server whose handler tests call without a network.
type rig struct {
	*web.Server
	app  *app
	addr *net.TCPAddr
	log  *testrig.Buffer
}

func newRig(t testing.TB, c web.ListenConfig) *rig {
	t.Helper()
	return newRigWithLinks(t, c, nil)
}

// newRigWithLinks returns a server that serves downloads.
func newRigWithLinks(t testing.TB, c web.ListenConfig, links *resources.Links, change ...func(*web.Config)) *rig {
	t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	c.SSE = true
	endpoint, err := web.Listen(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { endpoint.Listener.Close() })
	r := &rig{app: &app{mcp: server.NewMCPServer("t", "1")}, log: &testrig.Buffer{}}
	var ok bool
	r.addr, ok = endpoint.Listener.Addr().(*net.TCPAddr)
	require.True(t, ok)
	metrics, err := telemetry.New(t.Context(), telemetry.Config{Metrics: true})
	require.NoError(t, err)
	config := web.Config{
		Endpoint: endpoint, App: r.app, Links: links, Telemetry: metrics, Limits: limit.Default(), Grace: time.Second, Now: time.Now,
		Log: telemetry.NewLogger(r.log, slog.LevelDebug, false, "", transport.LogAttrs),
	}
	for _, f := range change {
		f(&config)
	}
	r.Server, err = web.New(config)
	require.NoError(t, err)
	return r
}

// do sends a request with headers given in pairs.
func (r *rig) do(t testing.TB, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: r.addr.Port}
	request := httptest.NewRequest(method, path, strings.NewReader(body)).WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(local)))
	request.Host = local.String()
	if body == "" {
		request.Body, request.ContentLength = http.NoBody, 0
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		} else {
			request.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request)
	return w.Result()
}

func (r *rig) ask(t testing.TB, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	response := r.do(t, method, path, body, headers...)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}
