package transport_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/transport"
)

// handler answers every request; tools/call only when its call is ended.
type handler struct{ calls chan struct{} }

type answer struct {
	*handler
	request *transport.Request
}

func (*handler) OpenSession(context.Context, server.ClientSession) error { return nil }
func (*handler) CloseSession(context.Context, server.ClientSession)      {}
func (*handler) Notify(context.Context, *transport.Request)              {}
func (*handler) Overloaded(*transport.Request) mcp.JSONRPCMessage        { return nil }
func (h *handler) Begin(r *transport.Request) transport.Call             { return answer{h, r} }
func (answer) Empty() bool                                               { return true }
func (answer) Confirm(context.Context)                                   {}
func (answer) Cancel()                                                   {}
func (a answer) Run(ctx context.Context) mcp.JSONRPCMessage {
	switch mcp.MCPMethod(a.request.Method) {
	case mcp.MethodToolsCall:
		<-a.calls
	case mcp.MethodSubscriptionsListen:
		<-ctx.Done()
	}
	return mcp.JSONRPCResponse{Result: mcp.EmptyResult{}}
}

// stream is a response that a test reads while it is written.
type stream struct {
	mu    sync.Mutex
	text  strings.Builder
	code  int
	head  http.Header
	ended bool
}

func (s *stream) Header() http.Header { return s.head }

func (s *stream) WriteHeader(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = code
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (*stream) Flush()                           {}
func (*stream) SetWriteDeadline(time.Time) error { return nil }

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *stream) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended
}

// streamRig is an HTTP whose streams a test ends with the clock of its bubble.
type streamRig struct {
	*transport.HTTP
	calls chan struct{}
}

func newStreamRig(t *testing.T) *streamRig {
	t.Helper()
	h := &handler{make(chan struct{})}
	r := &streamRig{transport.NewHTTP(transport.HTTPConfig{Handler: h, Limits: limit.Default(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}), h.calls}
	t.Cleanup(func() {
		r.StopAccepting()
		r.Finish(context.Background())
		synctest.Wait()
	})
	return r
}

// ask sends a request with a token that expires after some time, and waits until the
// server does nothing more.
func (r *streamRig) ask(method, path, body string, expires time.Duration, headers ...string) *stream {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	p := auth.Principal{Owner: "id.example.com/ann", Credential: fmt.Sprint(expires), Expires: time.Now().Add(expires)}
	request = request.WithContext(transport.WithCaller(context.Background(), transport.Caller{Principal: p, Client: p.Owner}))
	serve := map[string]http.HandlerFunc{"/mcp": r.ServeMCP, "/sse": r.ServeSSE, "/message": r.ServeMessages}[request.URL.Path]
	s := &stream{head: http.Header{}, code: http.StatusOK}
	go func() {
		serve(s, request)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = true
	}()
	synctest.Wait()
	return s
}

// after sweeps when some time has passed.
func (r *streamRig) after(d time.Duration) {
	time.Sleep(d)
	r.Sweep(func(auth.Principal) bool { return true })
	synctest.Wait()
}

const toolCall = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"slow"}}`

// The stream of a session ends a minute after the newest token of the session has
// expired. The session goes on: its client renews the token and connects again.
func TestExpiry_Session(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStreamRig(t)
		opened := r.ask(http.MethodPost, "/mcp", testrig.Initialize, time.Minute)
		named := []string{mcp.HeaderSessionID, opened.Header().Get(mcp.HeaderSessionID)}
		require.NotEmpty(t, named[1])
		get := r.ask(http.MethodGet, "/mcp", "", time.Minute, named...)
		require.True(t, get.isOpen())
		r.after(90 * time.Second)
		assert.True(t, get.isOpen(), "expired for half a minute")
		r.ask(http.MethodPost, "/mcp", testrig.Ping, time.Minute, named...)
		r.after(119 * time.Second)
		assert.True(t, get.isOpen(), "a newer token was shown")
		r.after(time.Second)
		assert.False(t, get.isOpen())
		assert.Equal(t, 1, r.Sessions())
		again := r.ask(http.MethodGet, "/mcp", "", time.Minute, named...)
		assert.True(t, again.isOpen())
	})
}

// A call keeps the stream of its session open.
func TestExpiry_CallUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStreamRig(t)
		opened := r.ask(http.MethodPost, "/mcp", testrig.Initialize, time.Minute)
		named := []string{mcp.HeaderSessionID, opened.Header().Get(mcp.HeaderSessionID)}
		get := r.ask(http.MethodGet, "/mcp", "", time.Minute, named...)
		call := r.ask(http.MethodPost, "/mcp", toolCall, time.Minute, named...)
		r.after(10 * time.Minute)
		assert.True(t, get.isOpen())
		assert.True(t, call.isOpen())
		r.calls <- struct{}{}
		synctest.Wait()
		assert.Contains(t, call.String(), `"id":7`)
		r.after(0)
		assert.False(t, get.isOpen())
	})
}

// HTTP+SSE: the same, and calls are answered on the stream.
func TestExpiry_SSE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStreamRig(t)
		sse := r.ask(http.MethodGet, "/sse", "", time.Minute)
		endpoint := strings.TrimSpace(strings.TrimPrefix(sse.String(), "event: endpoint\ndata: "))
		r.after(90 * time.Second)
		require.True(t, sse.isOpen())
		sent := r.ask(http.MethodPost, endpoint, toolCall, time.Minute)
		assert.Equal(t, http.StatusAccepted, sent.code)
		r.after(10 * time.Minute)
		assert.True(t, sse.isOpen(), "a call is under way")
		r.calls <- struct{}{}
		synctest.Wait()
		assert.Contains(t, sse.String(), `"id":7`)
		r.after(0)
		assert.False(t, sse.isOpen())
		sent = r.ask(http.MethodPost, endpoint, testrig.Ping, time.Minute)
		assert.Equal(t, http.StatusNotFound, sent.code)
	})
}

// A subscription is no call.
func TestExpiry_Subscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStreamRig(t)
		const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}`
		listen := r.ask(http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{`+meta+`,"notifications":{}}}`, time.Minute,
			mcp.HeaderProtocolVersion, "2026-07-28", mcp.HeaderMethod, "subscriptions/listen")
		require.True(t, listen.isOpen(), listen.String())
		r.after(119 * time.Second)
		assert.True(t, listen.isOpen())
		r.after(time.Second)
		assert.False(t, listen.isOpen())
	})
}

// Streams of principals that do not expire do not end.
func TestExpiry_None(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStreamRig(t)
		request := httptest.NewRequest(http.MethodGet, "/sse", http.NoBody)
		ctx, cancel := context.WithCancel(transport.WithCaller(context.Background(), transport.Caller{Principal: auth.Principal{Owner: "bot", Credential: "file"}, Client: "bot"}))
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.ServeSSE(&stream{head: http.Header{}}, request.WithContext(ctx))
		}()
		synctest.Wait()
		r.after(24 * time.Hour)
		select {
		case <-done:
			assert.Fail(t, "the stream ended")
		default:
		}
		cancel()
		<-done
	})
}
