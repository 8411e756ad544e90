package mcpserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

func call(id any, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%v,"method":"tools/call","params":{"name":%q,"_meta":{"progressToken":"t%v"},"arguments":%s}}`, id, tool, id, arguments)
}

func statelessCall(id any, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%v,"method":"tools/call","params":{"name":%q,%s,"arguments":%s}}`, id, tool,
		strings.Replace(statelessMeta, `{"io`, fmt.Sprintf(`{"progressToken":"t%v","io`, id), 1), arguments)
}

// chatter is a tool that sends many notifications and then answers at once.
func chatter(n int) mcpgo.ToolHandlerFunc {
	return func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for i := range n {
			_ = mcpgo.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", map[string]any{
				"progressToken": request.Params.Meta.ProgressToken, "progress": i + 1,
			})
		}
		return mcp.NewToolResultText("done"), nil
	}
}

// No notification is lost, late, out of order or on another call's stream, in
// either era, also with many calls of one session at once.
func TestStreamable_NotificationsPrecedeTheResult(t *testing.T) {
	t.Parallel()
	const sent, callers = 300, 8
	r := newWebRig(t, webOptions{})
	r.AddTool("chatter", chatter(sent))
	named := r.session(t)
	listening := r.do(t, http.MethodGet, "/mcp", "", named...) // must not get any of them
	var all sync.WaitGroup
	for n := range callers {
		all.Go(func() {
			body, headers := call(n, "chatter", "{}"), named
			if n%2 == 1 {
				body, headers = statelessCall(n, "chatter", "{}"), statelessHeaders("tools/call", "chatter")
			}
			list := messages(t, r.do(t, http.MethodPost, "/mcp", body, headers...))
			if assert.Len(t, list, sent+1) {
				for i, m := range list[:sent] {
					assert.EqualValues(t, i+1, m.Params["progress"])
					assert.Equal(t, fmt.Sprint("t", n), m.Params["progressToken"])
				}
				assert.Contains(t, string(list[sent].Result), "done")
			}
		})
	}
	all.Wait()
	listening.Body.Close()
}

// Requests with wrong sessions, headers or bodies get their HTTP status.
func TestStreamable_Status(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	named := r.session(t)
	for name, tt := range map[string]struct {
		method, body string
		headers      []string
		status       int
	}{
		"ping":                      {"POST", testrig.Ping, named, 200},
		"no session":                {"POST", testrig.Ping, nil, 400},
		"unknown session":           {"POST", testrig.Ping, []string{"Mcp-Session-Id", "mcp-session-00000000-0000-0000-0000-000000000000"}, 404},
		"stream without session":    {"GET", "", nil, 400},
		"stream of unknown session": {"GET", "", []string{"Mcp-Session-Id", "x"}, 404},
		"end of unknown session":    {"DELETE", "", []string{"Mcp-Session-Id", "x"}, 404},
		"stream that is not wanted": {"GET", "", append([]string{"Accept", "application/json"}, named...), 406},
		"unknown protocol version":  {"POST", testrig.Ping, append([]string{"Mcp-Protocol-Version", "1999-01-01"}, named...), 400},
		"notification":              {"POST", `{"jsonrpc":"2.0","method":"notifications/x"}`, named, 202},
		"answer to nothing":         {"POST", `{"jsonrpc":"2.0","id":1,"result":{}}`, named, 202},
		"no JSON":                   {"POST", `{`, named, 400},
		"blanks":                    {"POST", `  `, named, 400},
		"batch":                     {"POST", `[` + testrig.Ping + `]`, named, 400},
		"odd id":                    {"POST", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, named, 400},
		"PUT":                       {"PUT", testrig.Ping, named, 405},
		"HEAD":                      {"HEAD", "", named, 405},
		"stateless stream":          {"GET", "", append([]string{"Mcp-Protocol-Version", "2026-07-28"}, named...), 405},
		"stateless end":             {"DELETE", "", append([]string{"Mcp-Protocol-Version", "2026-07-28"}, named...), 405},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := r.ask(t, tt.method, "/mcp", tt.body, tt.headers...)
			assert.Equal(t, tt.status, status, text)
		})
	}
	status, _ := r.ask(t, "GET", "/other", "")
	assert.Equal(t, 404, status)
	status, _ = r.ask(t, "DELETE", "/mcp", "", named...)
	assert.Equal(t, http.StatusNoContent, status)
	status, _ = r.ask(t, "POST", "/mcp", testrig.Ping, named...)
	assert.Equal(t, 404, status, "an ended session is unknown")
}

// An idle session ends; one with an open stream or a call in flight does not.
func TestSessions_Idle(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	r := newWebRig(t, webOptions{web: func(c *web.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}})
	idle, listening, working := r.session(t), r.session(t), r.session(t)
	for _, named := range [][]string{idle, listening, working} {
		require.Equal(t, 200, r.ping(t, named))
	}
	stream := r.do(t, "GET", "/mcp", "", listening...)
	defer stream.Body.Close()
	done := make(chan []message, 1)
	go func() { done <- messages(t, r.do(t, "POST", "/mcp", generate(1, "sandbox:delay=1h x"), working...)) }()
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	ahead.Store(int64(time.Hour))
	require.Eventually(t, func() bool {
		_, text := r.ask(t, "GET", "/metrics", "")
		return strings.Contains(text, "\nzai_image_sessions 2\n")
	}, patience, 5*time.Millisecond)
	assert.Equal(t, 404, r.ping(t, idle))
	assert.Equal(t, 200, r.ping(t, listening), "an open stream is not idle")
	assert.Equal(t, 200, r.ping(t, working), "nor is a call")
	r.sandbox.Close() // ends the delay
	list := <-done
	assert.Contains(t, string(list[len(list)-1].Result), `"saved"`)
}

// Streams of all kinds share one bound.
func TestStreams_Bound(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.Streams = 2 }})
	first := r.do(t, "GET", "/sse", "")
	second := r.do(t, "GET", "/mcp", "", r.session(t)...)
	require.Equal(t, 200, first.StatusCode)
	require.Equal(t, 200, second.StatusCode)
	subscribe := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{%s,"notifications":{"resourcesListChanged":true}}}`, statelessMeta)
	for _, response := range []*http.Response{
		r.do(t, "GET", "/sse", ""), r.do(t, "GET", "/mcp", "", r.session(t)...),
		r.do(t, "POST", "/mcp", subscribe, statelessHeaders("subscriptions/listen", "")...),
	} {
		assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		assert.NotEmpty(t, response.Header.Get("Retry-After"))
	}
	first.Body.Close()
	assert.Eventually(t, func() bool {
		third := r.do(t, "GET", "/sse", "")
		defer third.Body.Close()
		return third.StatusCode == 200
	}, patience, 20*time.Millisecond, "a stream that ended makes room")
	second.Body.Close()
}

// A second stream of a session replaces the first.
func TestStreams_NewestGetsNotifications(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	named := r.session(t)
	old := r.do(t, "GET", "/mcp", "", named...)
	fresh := r.do(t, "GET", "/mcp", "", named...)
	_, err := io.ReadAll(old.Body)
	require.NoError(t, err, "the old stream ends")
	notifications := events(t, fresh.Body)
	r.ask(t, "POST", "/mcp", generate(1, "a fox"), named...)
	m := <-notifications
	require.NotNil(t, m)
	assert.Equal(t, "notifications/resources/list_changed", m.Method)
	fresh.Body.Close()
}

// Subscribers of both eras learn when an image is saved, and subscriptions end
// with the server.
func TestStreamable_Subscriptions(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{config: func(c *settings) { c.Wait = 50 * time.Millisecond }})
	named := r.session(t)
	stream := r.do(t, "GET", "/mcp", "", named...)
	notifications := events(t, stream.Body)
	_, text := r.ask(t, "POST", "/mcp", generate(1, "sandbox:delay=1h fox"), named...)
	uri := regexp.MustCompile(`zai-image://images/\w{26}`).FindString(text)
	status, text := r.ask(t, "POST", "/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":%q}}`, uri), named...)
	require.Equal(t, 200, status, text)
	subscription := r.do(t, "POST", "/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{%s,"notifications":{"resourceSubscriptions":[%q]}}}`, statelessMeta, uri),
		statelessHeaders("subscriptions/listen", "")...)
	statelessNotifications := events(t, subscription.Body)
	assert.Equal(t, "notifications/subscriptions/acknowledged", (<-statelessNotifications).Method)
	r.sandbox.Close() // ends the delay
	assert.Equal(t, "notifications/resources/list_changed", (<-notifications).Method)
	for _, m := range []*message{<-notifications, <-statelessNotifications} {
		assert.Equal(t, "notifications/resources/updated", m.Method)
		assert.Equal(t, uri, m.Params["uri"])
		if m.Params["_meta"] != nil {
			assert.Equal(t, map[string]any{"io.modelcontextprotocol/subscriptionId": "sub"}, m.Params["_meta"])
		}
	}
	// At the end of the server the subscription is answered.
	r.stop()
	m := <-statelessNotifications
	require.NotNil(t, m)
	assert.Equal(t, `"sub"`, string(m.ID))
	_, open := <-notifications
	assert.False(t, open)
}

// Silent streams and long calls write heartbeats.
func TestStreamable_Heartbeat(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.Heartbeat = 20 * time.Millisecond }})
	named := r.session(t)
	stream := r.do(t, "GET", "/mcp", "", named...)
	assert.Nil(t, <-events(t, stream.Body))
	stream.Body.Close()
	s := r.openSSE(t)
	assert.Nil(t, <-s.incoming)
	s.close()
	// A client that wants plain JSON gets it.
	plain := make(chan *http.Response, 1)
	go func() {
		plain <- r.do(t, "POST", "/mcp", generate(2, "sandbox:delay=1h x"), append([]string{"Accept", "application/json"}, named...)...)
	}()
	// A call whose client asked for no progress.
	response := r.do(t, "POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=1h y"}}}`, named...)
	assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	assert.Equal(t, "no", response.Header.Get("X-Accel-Buffering"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 2 }, patience, time.Millisecond)
	beats := 0
	for m := range events(t, response.Body) {
		if m != nil {
			assert.Contains(t, string(m.Result), "saved")
		} else if beats++; beats == 3 {
			r.sandbox.Close() // ends the delay
		}
	}
	assert.GreaterOrEqual(t, beats, 3)
	response = <-plain
	assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
	list := messages(t, response)
	assert.Contains(t, string(list[0].Result), "saved")
	response = r.do(t, "POST", "/mcp", testrig.Ping, append([]string{"Accept", "text/event-stream"}, named...)...)
	assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
}

// A client loses its connection: an image whose request was sent is saved, one
// whose request was not is not paid for, in both eras.
func TestStreamable_ClientsThatLeave(t *testing.T) {
	t.Parallel()
	const first = "sandbox:delay=1h first"
	r := newWebRig(t, webOptions{config: func(c *settings) { c.Jobs.MaxConcurrent = 1 }})
	named := r.session(t)
	leave := func(until func() bool, body string, headers ...string) {
		before := strings.Count(r.log.String(), "served a request")
		r.leave(t, body, func() { require.Eventually(t, until, patience, time.Millisecond) }, headers...)
		require.Eventually(t, func() bool { return strings.Count(r.log.String(), "served a request") > before }, patience, time.Millisecond)
	}
	waits := func() bool { return r.Waiting() == 1 }
	leave(func() bool { return r.sandbox.Accepted() == 1 }, generate(1, first), named...)
	leave(waits, generate(2, "second, which waits"), named...)
	require.Eventually(t, func() bool { return r.Waiting() == 0 }, patience, time.Millisecond)
	leave(waits, statelessCall(3, "generate_image", `{"prompt":"third, which waits","size":"512x512"}`), statelessHeaders("tools/call", "generate_image")...)
	require.Eventually(t, func() bool { return r.Waiting() == 0 }, patience, time.Millisecond)
	r.sandbox.Close() // ends the delay
	require.Eventually(t, func() bool {
		_, text := r.ask(t, "POST", "/mcp", call(4, "list_images", "{}"), named...)
		return strings.Contains(text, "first") && strings.Contains(text, `"saved"`)
	}, patience, 5*time.Millisecond)
	_, text := r.ask(t, "POST", "/mcp", generate(5, first), named...)
	assert.Contains(t, text, `"saved"`)
	assert.EqualValues(t, 1, r.sandbox.Posts(), "the same call gets the image that was paid for, and the others were never sent")
	assert.Zero(t, r.Waiting())
	assert.NotContains(t, text, `"spent_today_usd":0.02`)
}

// notifications/cancelled cancels a request of its own session and no other.
func TestStreamable_Cancel(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{config: func(c *settings) { c.Jobs.MaxConcurrent = 1 }})
	mine, other := r.session(t), r.session(t)
	var all sync.WaitGroup
	answers := make(chan []message, 5)
	post := func(body string, headers ...string) {
		all.Go(func() {
			if response := r.do(t, "POST", "/mcp", body, headers...); assert.Equal(t, 200, response.StatusCode) {
				answers <- messages(t, response)
			}
		})
	}
	queued := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return r.Waiting() == n }, patience, time.Millisecond)
	}
	post(generate(1, "sandbox:delay=1h first"), mine...)
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	post(generate(2, "second"), mine...)
	post(statelessCall(2, "generate_image", `{"prompt":"third","size":"512x512"}`), statelessHeaders("tools/call", "generate_image")...)
	post(generate(6, "sixth"), mine...)
	queued(3)
	for id := range 7 {
		cancel := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d,%s}}`, id, statelessMeta)
		for _, headers := range [][]string{other, statelessHeaders("notifications/cancelled", ""), nil} {
			r.ask(t, "POST", "/mcp", cancel, headers...)
		}
	}
	require.Equal(t, 3, r.Waiting(), "a cancel from another client has no effect")
	status, _ := r.ask(t, "POST", "/mcp", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":6}}`, mine...)
	assert.Equal(t, http.StatusAccepted, status)
	queued(2)
	r.sandbox.Close() // ends the delay
	all.Wait()
	close(answers)
	assert.EqualValues(t, 3, r.sandbox.Posts(), "the session's own cancel has one")
	saved := 0
	for list := range answers {
		for _, m := range list {
			assert.NotEqual(t, "6", string(m.ID), "a cancelled request is not answered")
		}
		if strings.Contains(string(list[len(list)-1].Result), `"saved"`) {
			saved++
		}
	}
	assert.Equal(t, 3, saved)
}

// The headers of protocol 2026-07-28 must agree with the message.
func TestStateless_Headers(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	const list = "list_images"
	good := statelessHeaders("tools/call", list)
	without := func(name string) (rest []string) {
		for i := 0; i < len(good); i += 2 {
			if good[i] != name {
				rest = append(rest, good[i], good[i+1])
			}
		}
		return rest
	}
	for name, tt := range map[string]struct {
		body    string
		headers []string
		status  int
		code    int
	}{
		"good":                        {statelessCall(1, list, "{}"), good, 200, 0},
		"no version":                  {statelessCall(1, list, "{}"), without("Mcp-Protocol-Version"), 400, -32020},
		"no method":                   {statelessCall(1, list, "{}"), without("Mcp-Method"), 400, -32020},
		"no name":                     {statelessCall(1, list, "{}"), without("Mcp-Name"), 400, -32020},
		"other name":                  {statelessCall(1, list, "{}"), statelessHeaders("tools/call", "get_image"), 400, -32020},
		"other method":                {statelessCall(1, list, "{}"), statelessHeaders("tools/list", ""), 400, -32020},
		"nothing in the body":         {call(1, list, "{}"), good, 400, -32602},
		"another version in the body": {strings.ReplaceAll(statelessCall(1, list, "{}"), "2026-07-28", "2025-11-25"), good, 400, -32020},
		"resumption":                  {statelessCall(1, list, "{}"), append([]string{"Last-Event-ID", "1"}, good...), 400, -32020},
		"unknown version": {
			strings.ReplaceAll(statelessCall(1, list, "{}"), "2026-07-28", "2027-01-01"),
			append([]string{"Mcp-Protocol-Version", "2027-01-01"}, without("Mcp-Protocol-Version")...), 400, -32022,
		},
		"unknown method": {
			fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"no/such","params":{%s}}`, statelessMeta), statelessHeaders("no/such", ""), 404, -32601,
		},
		"answer": {fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{},"params":{%s}}`, statelessMeta), good, 400, -32600},
	} {
		t.Run(name, func(t *testing.T) {
			response := r.do(t, "POST", "/mcp", tt.body, tt.headers...)
			assert.Equal(t, tt.status, response.StatusCode)
			assert.Empty(t, response.Header.Get("Mcp-Session-Id"))
			m := messages(t, response)[0]
			if tt.code == 0 {
				assert.Nil(t, m.Error)
			} else if assert.NotNil(t, m.Error) {
				assert.Equal(t, tt.code, m.Error.Code)
			}
		})
	}
}
