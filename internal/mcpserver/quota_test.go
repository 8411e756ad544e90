package mcpserver_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// No owner takes all sessions, streams or room for requests from others.
func TestQuota_Owners(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{
		address: web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken, "bob:"+bobToken)},
		web:     func(c *web.Config) { c.Limits.Sessions, c.Limits.Streams = 8, 8 },
	})
	release := make(chan struct{})
	r.AddTool("wait", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		<-release
		return mcp.NewToolResultText("done"), nil
	})
	first := r.session(t, bearer(aliceToken)...)
	second := r.session(t, bearer(aliceToken)...)
	for _, named := range [][]string{first, second} {
		require.Equal(t, 200, r.do(t, http.MethodGet, "/mcp", "", named...).StatusCode)
	}
	status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, bearer(aliceToken)...)
	assert.Equal(t, http.StatusServiceUnavailable, status, "a quarter of the sessions, all in use")
	bob := r.session(t, bearer(bobToken)...)

	require.Equal(t, http.StatusServiceUnavailable, r.do(t, http.MethodGet, "/sse", "", bearer(aliceToken)...).StatusCode)
	require.Equal(t, 200, r.do(t, http.MethodGet, "/sse", "", bearer(bobToken)...).StatusCode)

	// Large calls count by their size.
	large := func(id int, tool string) string {
		return strings.Replace(call(id, tool, "{}"), `{}`, `{"x":"`+strings.Repeat("x", 1000<<10)+`"}`, 1)
	}
	var all sync.WaitGroup
	refused := make(chan string, 12)
	for id := range 12 {
		all.Go(func() {
			if _, text := r.ask(t, http.MethodPost, "/mcp", large(id, "wait"), first...); strings.Contains(text, "rate_limited") {
				refused <- text
			}
		})
	}
	for range 4 {
		<-refused
	}
	for _, named := range [][]string{first, bob} {
		status, _ = r.ask(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":"ping","method":"ping"}`, named...)
		assert.Equal(t, 200, status, "requests that are answered at once do not count")
	}
	_, text := r.ask(t, http.MethodPost, "/mcp", large(1, "list_images"), bob...)
	assert.Contains(t, text, "invalid_argument", "the other owner's call is handled")
	close(release)
	all.Wait()
	assert.Empty(t, refused)
}

// The requests of one HTTP+SSE client count like all others.
func TestQuota_SSE(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	release := make(chan struct{})
	defer close(release)
	r.AddTool("wait", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		<-release
		return mcp.NewToolResultText("done"), nil
	})
	s := r.openSSE(t)
	for id := range 9 {
		s.send(t, strings.Replace(call(id, "wait", "{}"), `{}`, `{"x":"`+strings.Repeat("x", 1000<<10)+`"}`, 1))
	}
	assert.Contains(t, string(s.answer(t).Result), "rate_limited")
	status, _ := r.ask(t, http.MethodPost, s.endpoint, fmt.Sprintf(`{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{%s,"x":%q,"notifications":{"resourcesListChanged":true}}}`,
		statelessMeta, strings.Repeat("x", 900<<10)))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = r.ask(t, http.MethodPost, "/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{%s,"x":%q,"notifications":{"resourcesListChanged":true}}}`,
		statelessMeta, strings.Repeat("x", 900<<10)), statelessHeaders("subscriptions/listen", "")...)
	assert.Equal(t, http.StatusRequestEntityTooLarge, status, "a subscription is kept, so it has to be small")
}

// Subscriptions on a stream that also carries responses do not hold up the end.
func TestShutdown_SubscriptionsOverSSE(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	s := r.openSSE(t)
	s.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{%s,"notifications":{"resourcesListChanged":true}}}`, statelessMeta))
	require.Equal(t, "notifications/subscriptions/acknowledged", (<-s.incoming).Method)
	r.stop()
	err := <-r.ended
	r.ended <- err
	require.NoError(t, err)
}

// Connections beyond the bound are closed.
func TestQuota_Connections(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.Connections = 3 }})
	var open []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
		require.NoError(t, err)
		open = append(open, c)
	}
	_, err := r.client.Get(r.base + "/healthz")
	require.Error(t, err)
	for _, c := range open {
		c.Close()
	}
	require.Eventually(t, func() bool {
		response, err := r.client.Get(r.base + "/healthz")
		if err == nil {
			response.Body.Close()
		}
		return err == nil
	}, patience, 20*time.Millisecond)
}

// Files go from the disk to the socket without being copied by the program.
func TestDownloads_Sendfile(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "a bucket has no files to send")
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("NOT TESTED: whether downloads use sendfile is not looked at")
	}
	s := serve(t, nil)
	_, text := s.ask(t, http.MethodPost, "/mcp", statelessCall(1, "generate_image", `{"prompt":"a fox"}`), statelessHeaders("tools/call", "generate_image")...)
	link := strings.ReplaceAll(regexp.MustCompile(`"download_url":"([^"]*)"`).FindStringSubmatch(text)[1], `\u0026`, "&")
	trace := filepath.Join(t.TempDir(), "trace")
	c := exec.CommandContext(t.Context(), strace, "-f", "-p", strconv.Itoa(s.cmd.Process.Pid), "-e", "trace=sendfile", "-o", trace)
	if err := c.Start(); err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	defer c.Wait()
	defer c.Process.Signal(os.Interrupt)
	require.Eventually(t, func() bool {
		status, _ := s.ask(t, http.MethodGet, strings.TrimPrefix(link, s.base), "")
		require.Equal(t, 200, status)
		seen, err := os.ReadFile(trace)
		if status := c.ProcessState; status != nil {
			t.Skip("NOT TESTED: it may not look at the program")
		}
		return err == nil && strings.Contains(string(seen), "sendfile(")
	}, patience, 100*time.Millisecond)
}

// Two requests in flight cannot have one id: a cancel would be ambiguous.
func TestRequests_DuplicateID(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	named, s := r.session(t), r.openSSE(t)
	done := make(chan string, 1)
	go func() {
		_, text := r.ask(t, http.MethodPost, "/mcp", generate(1, "sandbox:delay=1h x"), named...)
		done <- text
	}()
	s.send(t, generate(1, "sandbox:delay=1h y"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 2 }, patience, time.Millisecond)
	_, text := r.ask(t, http.MethodPost, "/mcp", generate(1, "another"), named...)
	assert.Contains(t, text, "-32600")
	s.send(t, generate(1, "another"))
	require.NotNil(t, s.answer(t).Error)
	r.sandbox.Close() // ends the delays
	assert.Contains(t, <-done, `"saved"`)
	assert.Contains(t, string(s.answer(t).Result), `"saved"`)
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// A handshake that fails leaves no session behind.
func TestSessions_FailedHandshake(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.Sessions = 2 }})
	for range 5 {
		status, text := r.ask(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":[]}`)
		assert.Equal(t, 200, status)
		assert.Contains(t, text, `"error"`)
	}
	r.session(t)
}

// No client holds all places for resources/read.
func TestQuota_Reads(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	release := make(chan struct{})
	var reading atomic.Int64
	r.AddResource("test://slow", func(context.Context) ([]mcp.ResourceContents, error) {
		reading.Add(1)
		<-release
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: "test://slow", Text: "slow"}}, nil
	})
	greedy, modest := r.session(t), r.session(t)
	var all sync.WaitGroup
	read := func(id int, named []string) {
		all.Go(func() {
			_, text := r.ask(t, http.MethodPost, "/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"resources/read","params":{"uri":"test://slow"}}`, id), named...)
			assert.Contains(t, text, "slow")
		})
	}
	for id := range 20 {
		read(id, greedy)
	}
	require.Eventually(t, func() bool { return reading.Load() == 8 }, patience, time.Millisecond)
	read(1, modest)
	require.Eventually(t, func() bool { return reading.Load() == 9 }, patience, time.Millisecond)
	close(release)
	all.Wait()
	assert.EqualValues(t, 21, reading.Load())
}
