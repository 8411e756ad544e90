package mcpserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// exchanges returns, for each transport, a function that sends one message and
// returns its response.
func exchanges(t *testing.T) map[string]func(t *testing.T, line string) message {
	t.Helper()
	lines := newRig(t, nil)
	lines.handshake(t)
	r := newWebRig(t, webOptions{})
	named, s := r.session(t), r.openSSE(t)
	post := func(t *testing.T, path, line string, headers ...string) message {
		t.Helper()
		_, text := r.ask(t, http.MethodPost, path, line, headers...)
		var m message
		require.NoError(t, json.Unmarshal([]byte(text), &m), text)
		return m
	}
	return map[string]func(t *testing.T, line string) message{
		"stdio": func(t *testing.T, line string) message {
			t.Helper()
			lines.send(t, line)
			return lines.answer(t)
		},
		"streamable": func(t *testing.T, line string) message {
			t.Helper()
			return post(t, "/mcp", line, named...)
		},
		"stateless": func(t *testing.T, line string) message {
			t.Helper()
			return post(t, "/mcp", line, statelessHeaders("ping", "")...)
		},
		"sse": func(t *testing.T, line string) message {
			t.Helper()
			status, text := r.ask(t, http.MethodPost, s.endpoint, line)
			if status == http.StatusAccepted {
				return s.answer(t)
			}
			var m message
			require.NoError(t, json.Unmarshal([]byte(text), &m), text)
			return m
		},
	}
}

// A message with too many keys is refused under its id, over each transport.
func TestMessages_ManyKeys(t *testing.T) {
	t.Parallel()
	for name, exchange := range exchanges(t) {
		m := exchange(t, testrig.ManyKeys(100_000))
		require.NotNil(t, m.Error, name)
		assert.Equal(t, -32600, m.Error.Code, name)
		assert.Contains(t, m.Error.Message, "more than 10000 keys and values", name)
		assert.Equal(t, `"many"`, string(m.ID), name)
		if name != "stateless" { // there is no ping
			assert.Nil(t, exchange(t, testrig.ManyKeys(4000)).Error, name)
		}
	}
}

// A large body keeps its place until its message is handled, so that no more of
// them are in memory than there are places.
func TestStreamable_LargeBodies(t *testing.T) {
	const places = 16
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.BodyTime = 300 * time.Millisecond }})
	handled, release := make(chan struct{}, places), make(chan struct{})
	r.OnPrompt(func() {
		select {
		case handled <- struct{}{}:
			<-release
		default: // one too many, which must not be handled at all
		}
	})
	named := r.session(t)
	large := func(id int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"prompts/get","params":{"name":"improve_prompt","x":%q}}`, id, strings.Repeat("x", 100<<10))
	}
	var all sync.WaitGroup
	for id := range places {
		all.Go(func() {
			status, _ := r.ask(t, http.MethodPost, "/mcp", large(id), named...)
			assert.Equal(t, http.StatusOK, status)
		})
	}
	require.Eventually(t, func() bool { return len(handled) == places }, patience, time.Millisecond)
	status, _ := r.ask(t, http.MethodPost, "/mcp", large(places), named...)
	assert.Equal(t, http.StatusRequestTimeout, status, "there is no place for one more")
	close(release)
	all.Wait()
	status, _ = r.ask(t, http.MethodPost, "/mcp", large(places), named...)
	assert.Equal(t, http.StatusOK, status, "the places are free again")
}

// A request is refused under its id, or the client would wait for a response
// until its timeout.
func TestMessages_RefusedUnderTheirID(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, line, id string
		code           int
	}{
		{"bad _meta before the id", `{"jsonrpc":"2.0","method":"tools/list","params":{"_meta":"x"},"id":7}`, "7", -32602},
		{"bad _meta behind the id", `{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"_meta":[]}}`, "7", -32602},
		{"key in other letters", `{"jsonrpc":"2.0","id":80,"method":"tools/call","params":{"Name":"x"}}`, "80", -32600},
		{"key twice", `{"jsonrpc":"2.0","method":"ping","params":{"a":1,"a":2},"id":"a\"b"}`, `"a\"b"`, -32600},
		{"method twice", `{"jsonrpc":"2.0","id":-1.50,"method":"ping","method":"ping"}`, "-1.50", -32600},
		{"escaped key", `{"jsonrpc":"2.0","method":"ping","method":"ping","\u0069d":5}`, "5", -32600},
		{"method is no string", `{"jsonrpc":"2.0","id":5,"method":6}`, "5", -32600},
		{"no method", `{"jsonrpc":"2.0","id":5}`, "5", -32600},
		{"params are no object", `{"jsonrpc":"2.0","params":"x","id":5,"method":"ping"}`, "5", -32600},
		{"id twice", `{"jsonrpc":"2.0","id":5,"method":"ping","id":6}`, "null", -32600},
		{"id of another type", `{"jsonrpc":"2.0","id":[5],"method":"ping"}`, "null", -32600},
		{"id in a string and in params", `{"jsonrpc":"2.0","x":"\",\"id\":1","params":{"id":2,"a":[{"id":3}]},"method":"ping","method":"ping","id":4 }`, "4", -32600},
		{"no JSON", `{"jsonrpc":"2.0","id":5,"method":"ping"`, "null", -32700},
	}
	for transport, exchange := range exchanges(t) {
		if transport == "stateless" {
			continue // asks for more in its messages
		}
		for _, tt := range tests {
			m := exchange(t, tt.line)
			require.NotNil(t, m.Error, "%s, %s", transport, tt.name)
			assert.Equal(t, tt.code, m.Error.Code, "%s, %s", transport, tt.name)
			assert.Equal(t, tt.id, string(m.ID), "%s, %s", transport, tt.name)
		}
	}
}

// A response gets no answer, not even one that reports an error.
func TestStdio_ResponsesAreIgnored(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.handshake(t)
	r.send(t, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	r.send(t, `{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"x"}}`)
	r.send(t, `{"jsonrpc":"2.0","id":3,"method":"ping"}`)
	assert.Equal(t, "3", string(r.answer(t).ID))
}

// A signal ends the server, whatever a host sent whose response it does not read.
func TestStdio_SignalWithoutReader(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"no JSON":         {`garbage`},
		"batch":           {`[]`},
		"handshake":       {testrig.Initialize},
		"id in use":       {call(1, "wait", "{}"), call(1, "wait", "{}")},
		"many bad":        {`garbage`, `garbage`, `garbage`, `garbage`},
		"bad, then good":  {`garbage`, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
		"too many values": {testrig.ManyKeys(20_000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *settings) { c.Grace = 10 * time.Millisecond })
			r.AddTool("wait", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				<-ctx.Done()
				return mcp.NewToolResultText("done"), nil
			})
			ctx, cancel := context.WithCancel(t.Context())
			in, theirs := io.Pipe()
			ours, out := io.Pipe()
			defer ours.Close()
			go func() { r.ended <- r.ServeStdio(ctx, in, out) }()
			for _, line := range lines {
				_, err := io.WriteString(theirs, line+"\n")
				require.NoError(t, err)
			}
			_, err := ours.Read(make([]byte, 1)) // the answer is being written, and nobody reads on
			require.NoError(t, err)
			cancel()
			select {
			case err := <-r.ended:
				require.NoError(t, err)
			case <-time.After(patience):
				require.Fail(t, "the server does not end")
			}
			theirs.Close()
		})
	}
}

// A progress token comes back as it was written, whatever number it is.
func TestProgress_Tokens(t *testing.T) {
	t.Parallel()
	lines := newRig(t, nil)
	lines.handshake(t)
	r := newWebRig(t, webOptions{})
	for _, token := range []string{"9007199254740993", "-1.50", `"x"`, "1e3"} {
		line := strings.Replace(generate(1, "a fox"), `"progressToken":"t1"`, `"progressToken":`+token, 1)
		lines.send(t, line)
		raw := <-lines.lines
		for !strings.Contains(raw, `"notifications/progress"`) {
			raw = <-lines.lines
		}
		assert.Contains(t, raw, `"progressToken":`+token+`,`)
		require.Equal(t, "1", string(lines.answer(t).ID))
		_, text := r.ask(t, http.MethodPost, "/mcp", line, r.session(t)...)
		assert.Contains(t, text, `"progressToken":`+token+`,`)
	}
}

// Subscriptions beyond the bounds are refused with the reason.
func TestSubscribe_TooMany(t *testing.T) {
	t.Parallel()
	subscribe := func(uri string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":%q}}`, uri)
	}
	for name, exchange := range exchanges(t) {
		if name == "stateless" {
			continue // has subscriptions/listen
		}
		for i := range 100 {
			require.Nil(t, exchange(t, subscribe(fmt.Sprint("test://", i))).Error, name)
		}
		m := exchange(t, subscribe("test://one-more"))
		require.NotNil(t, m.Error, name)
		assert.Equal(t, -32602, m.Error.Code)
		assert.Contains(t, m.Error.Message, "100 resources at once")
		require.Nil(t, exchange(t, subscribe("test://7")).Error, "it is subscribed to already")
		require.Nil(t, exchange(t, strings.Replace(subscribe("test://7"), "/subscribe", "/unsubscribe", 1)).Error)
		require.Nil(t, exchange(t, subscribe("test://one-more")).Error)
		m = exchange(t, subscribe("test://"+strings.Repeat("x", 300)))
		require.NotNil(t, m.Error, name)
		assert.Contains(t, m.Error.Message, "longer than 200 bytes")
	}
	lines := newRig(t, nil)
	lines.start(t)
	uris := make([]string, 101)
	for i := range uris {
		uris[i] = fmt.Sprintf(`"test://%d"`, i)
	}
	lines.send(t, listenFor(`"many"`, `{"resourceSubscriptions":[`+strings.Join(uris, ",")+`]}`))
	m := lines.answer(t)
	require.NotNil(t, m.Error)
	assert.Equal(t, -32602, m.Error.Code)
	assert.Contains(t, m.Error.Message, "100 resources at once")
}
