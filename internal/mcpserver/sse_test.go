package mcpserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/internal/web"
)

// The endpoints of HTTP+SSE answer wrong requests with their status.
func TestSSE_Status(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	response := r.do(t, "GET", "/sse", "")
	assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	assert.Equal(t, "no", response.Header.Get("X-Accel-Buffering"))
	assert.Empty(t, response.Header.Get("Access-Control-Allow-Origin"), "no page may read it")
	response.Body.Close()
	s := r.openSSE(t)
	for body, status := range map[string]int{`{`: 400, ` `: 400, `[]`: 400, `{"jsonrpc":"2.0","id":{},"method":"ping"}`: 400} {
		got, text := r.ask(t, "POST", s.endpoint, body)
		assert.Equal(t, status, got, body)
		assert.Contains(t, text, `"jsonrpc":"2.0"`)
	}
	for path, status := range map[string]int{"/message": 404, "/message?sessionId=x": 404} {
		got, _ := r.ask(t, "POST", path, testrig.Initialize)
		assert.Equal(t, status, got, path)
	}
	got, _ := r.ask(t, "POST", "/sse", testrig.Initialize)
	assert.Equal(t, 405, got, "clients detect the older transport by this status")
	got, _ = r.ask(t, "GET", s.endpoint, "")
	assert.Equal(t, 405, got)
	s.send(t, testrig.Initialize)
	assert.Equal(t, `"hello"`, string(s.answer(t).ID))
	s.close()
	assert.Eventually(t, func() bool {
		got, _ := r.ask(t, "POST", s.endpoint, testrig.Initialize)
		return got == 404
	}, patience, 10*time.Millisecond, "an ended stream is no session")
}

// HTTP+SSE is off by default.
func TestSSE_Off(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.SSE = false }})
	for _, path := range []string{"/sse", "/message"} {
		status, _ := r.ask(t, "GET", path, "")
		assert.Equal(t, 404, status)
	}
}

// The endpoint for messages has the path of the public URL.
func TestSSE_EndpointBelowThePublicURL(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{address: web.ListenConfig{PublicURL: "https://x.example/zai/"}})
	response := r.do(t, "GET", "/sse", "", "Host", "x.example")
	defer response.Body.Close()
	assert.True(t, strings.HasPrefix((<-events(t, response.Body)).Method, "/zai/message?sessionId="))
}

// A client leaves: requests that were not sent are abandoned, images that are
// paid for are saved.
func TestSSE_ClientThatLeaves(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{config: func(c *settings) { c.Jobs.MaxConcurrent = 1 }})
	s := r.openSSE(t)
	s.send(t, generate(1, "sandbox:delay=1h paid"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	s.send(t, generate(2, "waits"))
	require.Eventually(t, func() bool { return r.Waiting() == 1 }, patience, time.Millisecond)
	s.close()
	require.Eventually(t, func() bool { return r.Waiting() == 0 }, patience, time.Millisecond)
	r.sandbox.Close() // ends the delay
	other := r.sse(t, true)
	require.Eventually(t, func() bool {
		return strings.Contains(string(other.request(t, "tools/call", `{"name":"list_images"}`).Result), "paid")
	}, patience, 5*time.Millisecond)
	assert.EqualValues(t, 1, r.sandbox.Posts())
}

// notifications/cancelled cancels a request of its own stream and no other.
func TestSSE_Cancel(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{config: func(c *settings) { c.Jobs.MaxConcurrent = 1 }})
	s, other := r.openSSE(t), r.openSSE(t)
	s.send(t, generate(1, "sandbox:delay=1h first"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	for id := 2; id < 12; id++ {
		s.send(t, generate(id, fmt.Sprint("number ", id)))
		cancel := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, id)
		if id%2 == 0 {
			s.send(t, cancel)
		} else {
			other.send(t, cancel)
		}
	}
	require.Eventually(t, func() bool { return r.Waiting() == 5 }, patience, time.Millisecond)
	r.sandbox.Close() // ends the delay
	var answered []string
	for range 6 {
		answered = append(answered, string(s.answer(t).ID))
	}
	assert.ElementsMatch(t, []string{"1", "3", "5", "7", "9", "11"}, answered)
	assert.EqualValues(t, 6, r.sandbox.Posts())
}

// A client that does not read is cut off, and frees what it held.
func TestSSE_SlowClient(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.WriteTime = time.Second }})
	r.AddTool("large", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(strings.Repeat("x", 64<<10)), nil
	})
	_, endpoint := r.openUnreadSSE(t)
	id := 0
	require.Eventually(t, func() bool {
		id++
		status, _ := r.ask(t, "POST", endpoint, call(id, "large", "{}"))
		return status == http.StatusNotFound
	}, patience, time.Millisecond, "the stream was ended")
}

// A request counts as in flight until its response is written: a client that
// does not read cannot make the server hold any number of responses.
func TestSSE_UnreadResponsesCountAsInFlight(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	r.AddTool("large", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(strings.Repeat("x", 16<<20)), nil // more than the kernel buffers
	})
	c, endpoint := r.openUnreadSSE(t)
	defer c.Close()
	status, _ := r.ask(t, "POST", endpoint, call(0, "large", "{}"))
	require.Equal(t, http.StatusAccepted, status)
	readUntil(t, c, "event: message") // its response blocks the stream
	const most = limit.MaxInFlight / limit.Share / limit.MinWeight
	for id := 1; id <= most && status == http.StatusAccepted; id++ {
		status, _ = r.ask(t, "POST", endpoint, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, id))
	}
	assert.Equal(t, http.StatusServiceUnavailable, status)
}

// appWithSignal reports each request that is refused because its client has too
// much in flight.
type appWithSignal struct {
	web.App
	overloaded chan struct{}
}

func (a *appWithSignal) Overloaded(r *transport.Request) mcp.JSONRPCMessage {
	a.overloaded <- struct{}{}
	return a.App.Overloaded(r)
}

// A client that has too much in flight and does not read does not make the
// server hold further messages: their POSTs are accepted only after the refusal
// was written to the stream.
func TestSSE_OverloadedSlowClient(t *testing.T) {
	t.Parallel()
	app := &appWithSignal{overloaded: make(chan struct{}, 1)}
	r := newWebRig(t, webOptions{web: func(c *web.Config) { app.App, c.App = c.App, app }})
	release := make(chan struct{})
	defer close(release)
	r.AddTool("large", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(strings.Repeat("x", 16<<20)), nil // more than the kernel buffers
	})
	r.AddTool("wait", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		<-release
		return mcp.NewToolResultText("done"), nil
	})
	c, endpoint := r.openUnreadSSE(t)
	status, _ := r.ask(t, "POST", endpoint, call(0, "large", "{}"))
	require.Equal(t, http.StatusAccepted, status)
	readUntil(t, c, "event: message") // its response blocks the stream
	padding := strings.Repeat("x", limit.MaxBody-1<<10)
	const share = limit.MaxInFlight / limit.Share / limit.MaxBody
	for id := 1; id < share; id++ {
		status, _ := r.ask(t, "POST", endpoint, call(id, "wait", `{"x":"`+padding+`"}`))
		require.Equal(t, http.StatusAccepted, status)
	}
	refused := make(chan int, 1)
	go func() {
		status, _ := r.ask(t, "POST", endpoint, call(share, "wait", `{"x":"`+padding+`"}`))
		refused <- status
	}()
	<-app.overloaded
	require.NoError(t, c.Close())
	assert.Equal(t, http.StatusServiceUnavailable, <-refused)
}

// openUnreadSSE opens a stream and reads no more than its first event.
func (r *webRig) openUnreadSSE(t *testing.T) (c net.Conn, endpoint string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	tcp, ok := c.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.SetReadBuffer(4<<10))
	fmt.Fprintf(c, "GET /sse HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(r.base, "http://"))
	text := readUntil(t, c, "\n\n")
	return c, "/message?sessionId=" + strings.Fields(text[strings.Index(text, "sessionId=")+len("sessionId="):])[0]
}

// readUntil reads single bytes until the text ends with suffix.
func readUntil(t *testing.T, r io.Reader, suffix string) (text string) {
	t.Helper()
	for b := make([]byte, 1); !strings.HasSuffix(text, suffix); text += string(b) {
		_, err := io.ReadFull(r, b)
		require.NoError(t, err)
	}
	return text
}

// At the end of the server, calls in flight are answered before their stream
// ends.
func TestShutdown_SSEIsDrained(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	s := r.openSSE(t)
	s.send(t, generate(1, "sandbox:delay=1h x"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	r.stop()
	r.sandbox.Close() // ends the delay
	assert.Contains(t, string(s.answer(t).Result), `"saved"`)
	for range s.incoming {
	}
	err := <-r.ended
	r.ended <- err
	require.NoError(t, err)
	_, err = http.Get(r.base + "/healthz")
	require.Error(t, err, "the listener is closed")
}

// A call that does not end within the grace period returns its id.
func TestShutdown_CallsReturnIDs(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{}) // with ten seconds of grace, calls return one second before their end
	named := r.session(t)
	answers := make(chan []message, 2)
	for _, request := range [][]string{append([]string{generate(1, "sandbox:delay=1h x")}, named...), append([]string{statelessCall(2, "generate_image", `{"prompt":"sandbox:delay=1h y"}`)}, statelessHeaders("tools/call", "generate_image")...)} {
		go func() { answers <- messages(t, r.do(t, "POST", "/mcp", request[0], request[1:]...)) }()
	}
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 2 }, patience, time.Millisecond)
	r.stop()
	for range 2 {
		list := <-answers
		assert.Contains(t, string(list[len(list)-1].Result), `"status":"working"`)
	}
	err := <-r.ended
	r.ended <- err
	require.NoError(t, err)
}

// Requests that come after the end began are refused.
func TestShutdown_NothingNew(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	named := r.session(t)
	done := make(chan []message, 1)
	go func() { done <- messages(t, r.do(t, "POST", "/mcp", generate(1, "sandbox:delay=1h x"), named...)) }()
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	stream := r.do(t, "GET", "/mcp", "", named...)
	// A connection that is busy when the end comes, and then sends its body.
	c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	require.NoError(t, err)
	defer c.Close()
	body := statelessCall(2, "generate_image", `{"prompt":"late"}`)
	fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: generate_image\r\nContent-Length: %d\r\n\r\n",
		strings.TrimPrefix(r.base, "http://"), len(body))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	reader := bufio.NewReader(c)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue", "the server waits for the body")
	r.stop()
	_, err = io.ReadAll(stream.Body)
	require.NoError(t, err, "the end has begun")
	_, _ = io.WriteString(c, body)
	answer, _ := io.ReadAll(reader)
	assert.Contains(t, string(answer), "503")
	assert.Contains(t, string(answer), "Retry-After")
	r.sandbox.Close() // ends the delay
	list := <-done
	assert.Contains(t, string(list[len(list)-1].Result), `"saved"`)
	assert.EqualValues(t, 1, r.sandbox.Posts())
}
