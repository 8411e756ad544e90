package mcpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/mcpserver"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
	"zai-image-mcp/resources"
)

// webRig is a server over HTTP on a free port of this machine.
type webRig struct {
	*mcpserver.Server
	base    string
	sandbox *testrig.Service
	log     *safeBuffer
	client  *http.Client
	stop    context.CancelFunc
	ended   chan error
	links   *resources.Links
}

type webOptions struct {
	api     *testrig.Service // nil for one of its own
	address web.ListenConfig
	config  func(*settings)
	web     func(*web.Config)
}

func newWebRig(t testing.TB, o webOptions) *webRig {
	t.Helper()
	if o.address.Listen == "" {
		o.address.Listen = "127.0.0.1:0"
	}
	o.address.SSE = true
	endpoint, err := web.Listen(t.Context(), o.address)
	require.NoError(t, err)
	if o.api == nil {
		o.api = testrig.API(t)
	}
	r := &webRig{
		sandbox: o.api, log: &safeBuffer{}, ended: make(chan error, 1),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}},
		base:   "http://" + endpoint.Listener.Addr().String(),
	}
	c := web.Config{Endpoint: endpoint, Limits: limit.Default(), Now: time.Now}
	c.Limits.SweepInterval = 20 * time.Millisecond
	r.Server = newServer(t, r.sandbox, r.log, func(s *settings) {
		r.links = resources.NewLinks(s.Library, endpoint.Base(), time.Hour)
		s.MaxMessage, s.Locator = 0, resources.Locator{Links: r.links}
		if o.config != nil {
			o.config(s)
		}
		c.Links, c.Telemetry, c.Grace, c.Log, c.Now = r.links, s.Telemetry, s.Grace, s.Log, s.Now
	})
	c.App = r.Server
	if o.web != nil {
		o.web(&c)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.ended <- web.Serve(ctx, c) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-r.ended:
			assert.NoError(t, err)
			r.ended <- err
		case <-time.After(patience):
			assert.Fail(t, "the server does not end")
		}
		r.client.CloseIdleConnections()
	})
	return r
}

// do sends a request with headers given in pairs. It may be called from any
// goroutine; without a response it fails the test and returns an empty one.
func (r *webRig) do(t testing.TB, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, r.base+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return &http.Response{Body: http.NoBody}
	}
	if body == "" {
		request.Body, request.ContentLength = http.NoBody, 0
	} else {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json, text/event-stream")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		} else {
			request.Header.Set(headers[i], headers[i+1])
		}
	}
	response, err := r.client.Do(request)
	if err != nil {
		t.Error(err)
		return &http.Response{Body: http.NoBody}
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// ask sends a request and returns the status and text of the response.
func (r *webRig) ask(t testing.TB, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	response := r.do(t, method, path, body, headers...)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(text)
}

// session opens a session and returns the header that names it.
func (r *webRig) session(t testing.TB, headers ...string) []string {
	t.Helper()
	response := r.do(t, http.MethodPost, "/mcp", testrig.Initialize, headers...)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	named := append([]string{"Mcp-Session-Id", response.Header.Get("Mcp-Session-Id")}, headers...)
	require.NotEmpty(t, named[1])
	status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Initialized, named...)
	require.Equal(t, http.StatusAccepted, status)
	return named
}

// statelessHeaders returns the headers that protocol 2026-07-28 requires.
func statelessHeaders(method, name string) []string {
	headers := []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method}
	if name != "" {
		headers = append(headers, "Mcp-Name", name)
	}
	return headers
}

// events reads server-sent events: each message, or nil for a heartbeat.
func events(t testing.TB, body io.Reader) <-chan *message {
	t.Helper()
	out := make(chan *message, 10_000)
	go func() {
		defer close(out)
		lines := bufio.NewReaderSize(body, 1<<20)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, ":") {
				out <- nil
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				m := &message{}
				if json.Unmarshal([]byte(data), m) != nil {
					m.Method = strings.TrimSpace(data) // the endpoint
				}
				out <- m
			}
		}
	}()
	return out
}

// messages returns the messages of a response, plain or stream; one empty
// message if there are none.
func messages(t testing.TB, response *http.Response) []message {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	if response.Header.Get("Content-Type") == "application/json" {
		var m message
		assert.NoError(t, json.Unmarshal(body, &m), string(body))
		return []message{m}
	}
	assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"), string(body))
	var list []message
	for m := range events(t, bytes.NewReader(body)) {
		if m != nil {
			list = append(list, *m)
		}
	}
	if len(list) == 0 {
		list = []message{{}}
	}
	return list
}

// wire sends requests over one transport in one era.
type wire interface {
	request(t *testing.T, method, params string) message
}

type wireFunc func(t *testing.T, method, params string) message

func (f wireFunc) request(t *testing.T, method, params string) message {
	t.Helper()
	return f(t, method, params)
}

// withMeta adds to parameters what each stateless request carries.
func withMeta(isStateless bool, params string) string {
	if !isStateless {
		return params
	}
	if params == "{}" {
		return "{" + statelessMeta + "}"
	}
	return "{" + statelessMeta + "," + params[1:]
}

func (r *webRig) streamable(t *testing.T, isStateless bool, headers ...string) wire {
	t.Helper()
	if !isStateless {
		headers = r.session(t, headers...)
	}
	id := 0
	return wireFunc(func(t *testing.T, method, params string) message {
		t.Helper()
		id++
		own := headers
		if isStateless {
			var p struct{ Name, URI string }
			require.NoError(t, json.Unmarshal([]byte(params), &p))
			own = append(statelessHeaders(method, p.Name+p.URI), headers...)
		}
		response := r.do(t, http.MethodPost, "/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, withMeta(isStateless, params)), own...)
		list := messages(t, response)
		last := list[len(list)-1]
		require.Equal(t, fmt.Sprint(id), string(last.ID))
		return last
	})
}

// sseStream is one connection of HTTP+SSE.
type sseStream struct {
	*webRig
	headers  []string
	endpoint string
	incoming <-chan *message
	close    func()
}

func (r *webRig) openSSE(t testing.TB, headers ...string) *sseStream {
	t.Helper()
	return r.openSSEAt(t, "/sse", headers...)
}

func (r *webRig) openSSEAt(t testing.TB, path string, headers ...string) *sseStream {
	t.Helper()
	response := r.do(t, http.MethodGet, path, "", headers...)
	require.Equal(t, http.StatusOK, response.StatusCode)
	s := &sseStream{webRig: r, headers: headers, incoming: events(t, response.Body), close: sync.OnceFunc(func() { response.Body.Close() })}
	t.Cleanup(s.close)
	first := <-s.incoming
	require.NotNil(t, first)
	s.endpoint = first.Method
	require.Contains(t, s.endpoint, "/message?sessionId=")
	return s
}

func (s *sseStream) send(t testing.TB, line string, headers ...string) {
	t.Helper()
	status, text := s.ask(t, http.MethodPost, s.endpoint, line, append(headers, s.headers...)...)
	require.Equal(t, http.StatusAccepted, status, text)
}

// next skips heartbeats.
func (s *sseStream) next(t testing.TB) message {
	t.Helper()
	for {
		select {
		case m, ok := <-s.incoming:
			require.True(t, ok, "the stream ended")
			if m != nil {
				return *m
			}
		case <-time.After(patience):
			require.Fail(t, "no message")
		}
	}
}

// answer skips notifications and heartbeats.
func (s *sseStream) answer(t testing.TB) message {
	t.Helper()
	for {
		select {
		case m, ok := <-s.incoming:
			require.True(t, ok, "the stream ended")
			if m != nil && m.Method == "" {
				return *m
			}
		case <-time.After(patience):
			require.Fail(t, "no answer")
		}
	}
}

func (r *webRig) sse(t *testing.T, isStateless bool, headers ...string) wire {
	t.Helper()
	s := r.openSSE(t, headers...)
	if !isStateless {
		s.send(t, testrig.Initialize)
		s.answer(t)
		s.send(t, testrig.Initialized)
	}
	id := 0
	return wireFunc(func(t *testing.T, method, params string) message {
		t.Helper()
		id++
		var own []string
		if isStateless {
			own = []string{"Mcp-Protocol-Version", "2026-07-28"} // as clients that probe send it
		}
		s.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, withMeta(isStateless, params)), own...)
		return s.answer(t)
	})
}
