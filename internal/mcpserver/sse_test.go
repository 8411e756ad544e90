package mcpserver_test

import (
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

	"zai-image-mcp/internal/web"
)

func TestSSE(t *testing.T) {
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
		got, _ := r.ask(t, "POST", path, initialize)
		assert.Equal(t, status, got, path)
	}
	got, _ := r.ask(t, "POST", "/sse", initialize)
	assert.Equal(t, 405, got, "a client that tries the newer transport here has to hear that there is none")
	got, _ = r.ask(t, "GET", s.endpoint, "")
	assert.Equal(t, 405, got)
	s.send(t, initialize)
	assert.Equal(t, `"hello"`, string(s.answer(t).ID))
	s.close()
	assert.Eventually(t, func() bool {
		got, _ := r.ask(t, "POST", s.endpoint, initialize)
		return got == 404
	}, 5*time.Second, 10*time.Millisecond, "an ended stream is no session")
}

func TestNoSSEUnlessAskedFor(t *testing.T) {
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.SSE = false }})
	for _, path := range []string{"/sse", "/message"} {
		status, _ := r.ask(t, "GET", path, "")
		assert.Equal(t, 404, status)
	}
}

// A proxy that takes a part of the path away is told to clients.
func TestTheEndpointIsBelowThePublicURL(t *testing.T) {
	r := newWebRig(t, webOptions{address: web.ListenConfig{PublicURL: "https://x.example/zai/"}})
	response := r.do(t, "GET", "/sse", "", "Host", "x.example")
	defer response.Body.Close()
	assert.True(t, strings.HasPrefix((<-events(t, response.Body)).Method, "/zai/message?sessionId="))
}

// A client that is gone waits for nothing any more: what was not sent for it
// is given up, what was paid for is kept.
func TestAnSSEClientThatLeaves(t *testing.T) {
	r := newWebRig(t, webOptions{config: func(c *settings) { c.Jobs.MaxConcurrent = 1 }})
	s := r.openSSE(t)
	s.send(t, generate(1, "sandbox:delay=500ms paid"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
	s.send(t, generate(2, "waits"))
	s.close()
	other := r.sse(t, true)
	require.Eventually(t, func() bool {
		return strings.Contains(string(other.request(t, "tools/call", `{"name":"list_images"}`).Result), "paid")
	}, 5*time.Second, 50*time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	assert.EqualValues(t, 1, r.sandbox.Posts())
}

func TestSSECancel(t *testing.T) {
	r := newWebRig(t, webOptions{config: func(c *settings) { c.Jobs.MaxConcurrent = 1 }})
	s, stranger := r.openSSE(t), r.openSSE(t)
	s.send(t, generate(1, "sandbox:delay=500ms first"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
	for id := 2; id < 12; id++ {
		s.send(t, generate(id, fmt.Sprint("number ", id)))
		cancel := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, id)
		if id%2 == 0 {
			s.send(t, cancel)
		} else {
			stranger.send(t, cancel)
		}
	}
	var answered []string
	for range 6 {
		answered = append(answered, string(s.answer(t).ID))
	}
	assert.ElementsMatch(t, []string{"1", "3", "5", "7", "9", "11"}, answered)
	assert.EqualValues(t, 6, r.sandbox.Posts())
}

// A client that does not read is cut off, and frees what it held.
func TestASlowSSEClient(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.WriteTime = 300 * time.Millisecond }})
	r.AddTool("large", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(strings.Repeat("x", 1<<20)), nil
	})
	c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprintf(c, "GET /sse HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(r.base, "http://"))
	head := make([]byte, 4096)
	var text string
	for !strings.Contains(text, "sessionId=") || !strings.HasSuffix(text, "\n") {
		n, err := c.Read(head)
		require.NoError(t, err)
		text += string(head[:n])
	}
	endpoint := "/message?sessionId=" + strings.Fields(text[strings.Index(text, "sessionId=")+len("sessionId="):])[0]
	gone := false
	for id := 0; id < 200 && !gone; id++ {
		status, _ := r.ask(t, "POST", endpoint, call(id, "large", "{}"))
		gone = status == http.StatusNotFound
		time.Sleep(50 * time.Millisecond)
	}
	assert.True(t, gone, "the stream was ended")
}

// At the end of the server, calls under way are answered before their stream
// ends.
func TestSSEIsDrained(t *testing.T) {
	r := newWebRig(t, webOptions{})
	s := r.openSSE(t)
	s.send(t, generate(1, "sandbox:delay=700ms x"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
	r.stop()
	assert.Contains(t, string(s.answer(t).Result), `"saved"`)
	for range s.incoming {
	}
	err := <-r.ended
	r.ended <- err
	require.NoError(t, err)
	_, err = http.Get(r.base + "/healthz")
	require.Error(t, err, "nobody listens any more")
}

// What does not end within the grace is handed over: its caller gets the id.
func TestTheEndHandsOver(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{config: func(c *settings) { c.Grace = time.Second }})
	named := r.session(t)
	answers := make(chan []message, 2)
	for _, request := range [][]string{append([]string{generate(1, "sandbox:delay=9s x")}, named...), append([]string{modernCall(2, "generate_image", `{"prompt":"sandbox:delay=9s y"}`)}, modernHeaders("tools/call", "generate_image")...)} {
		go func() { answers <- messages(t, r.do(t, "POST", "/mcp", request[0], request[1:]...)) }()
	}
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 2 }, 5*time.Second, time.Millisecond)
	began := time.Now()
	r.stop()
	for range 2 {
		list := <-answers
		assert.Contains(t, string(list[len(list)-1].Result), `"status":"working"`)
	}
	err := <-r.ended
	r.ended <- err
	assert.Less(t, time.Since(began), 8*time.Second)
}

func TestNothingNewAtTheEnd(t *testing.T) {
	r := newWebRig(t, webOptions{})
	named := r.session(t)
	done := make(chan []message, 1)
	go func() { done <- messages(t, r.do(t, "POST", "/mcp", generate(1, "sandbox:delay=500ms x"), named...)) }()
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
	// A connection that is busy when the end comes, and then sends more.
	c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	require.NoError(t, err)
	defer c.Close()
	body := modernCall(2, "generate_image", `{"prompt":"late"}`)
	fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: generate_image\r\nContent-Length: %d\r\n\r\n",
		strings.TrimPrefix(r.base, "http://"), len(body))
	time.Sleep(50 * time.Millisecond)
	r.stop()
	time.Sleep(50 * time.Millisecond)
	_, _ = io.WriteString(c, body)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
	answer, _ := io.ReadAll(c)
	assert.Contains(t, string(answer), "503")
	assert.Contains(t, string(answer), "Retry-After")
	list := <-done
	assert.Contains(t, string(list[len(list)-1].Result), `"saved"`)
	assert.EqualValues(t, 1, r.sandbox.Posts())
}
