package mcpserver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// No progress notification follows its response.
func TestStdio_ProgressPrecedesTheResponse(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.handshake(t)
	const calls = 12
	for id := range calls {
		r.send(t, generate(id, fmt.Sprint("x ", id)))
	}
	answered := map[string]bool{}
	progress := map[string]int{}
	for len(answered) < calls {
		m := r.next(t)
		switch m.Method {
		case "":
			require.Nil(t, m.Error)
			answered["t"+string(m.ID)] = true
		case "notifications/progress":
			token := m.Params["progressToken"].(string)
			assert.False(t, answered[token], "late progress")
			if !strings.Contains(m.Params["message"].(string), " s") { // a sign of life on a slow machine
				progress[token]++
			}
		}
	}
	for token, n := range progress {
		assert.LessOrEqual(t, n, 3, "%s: queued, generating, downloading; the result has the rest", token)
	}
	assert.NotEmpty(t, progress)
}

// A cancelled call gets no response, also if its cancel follows it directly.
func TestStdio_CancelBeforeDispatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *settings) { c.Jobs.MaxConcurrent = 1 })
	r.handshake(t)
	r.send(t, generate(1, "sandbox:delay=1h first"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	// Each cancel follows its call directly, while that waits for a slot.
	for id := 2; id < 50; id++ {
		r.send(t, generate(id, "sandbox:delay=1h"))
		r.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, id))
	}
	r.send(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}`) // another id than 1
	r.send(t, generate(50, "last"))
	require.Eventually(t, func() bool { return r.Waiting() == 1 }, patience, time.Millisecond)
	r.sandbox.Close() // ends the delays
	assert.ElementsMatch(t, []string{"1", "50"}, []string{string(r.answer(t).ID), string(r.answer(t).ID)})
	assert.EqualValues(t, 2, r.sandbox.Posts(), "nothing was sent for the others")
}

// A call that is cancelled while it waits for a slot is not charged.
func TestStdio_CancelWhileQueued(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *settings) { c.Jobs.MaxConcurrent = 1 })
	r.handshake(t)
	r.send(t, generate(1, "sandbox:delay=1h first"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	r.send(t, generate(2, "sandbox:delay=1h"))
	for m := r.next(t); m.Params["progressToken"] != "t2" || m.Params["message"] != "queued"; m = r.next(t) {
		require.NotEmpty(t, m.Method)
	}
	r.send(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
	require.Eventually(t, func() bool { return r.Waiting() == 0 }, patience, time.Millisecond)
	r.send(t, generate(3, "third"))
	require.Eventually(t, func() bool { return r.Waiting() == 1 }, patience, time.Millisecond)
	r.sandbox.Close() // ends the delays
	assert.ElementsMatch(t, []string{"1", "3"}, []string{string(r.answer(t).ID), string(r.answer(t).ID)})
	assert.EqualValues(t, 2, r.sandbox.Posts())
	r.send(t, `{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"list_images"}}`)
	assert.Contains(t, string(r.answer(t).Result), `"spent_today_usd":0.02`, "nothing is charged for it")
}

// Five calls run, as many as may; the sixth is cancelled.
func TestStdio_CancelBeyondTheSlots(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.handshake(t)
	for id := 1; id <= 5; id++ {
		r.send(t, generate(id, fmt.Sprint("sandbox:delay=1h ", id)))
	}
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 5 }, patience, time.Millisecond)
	r.send(t, generate(6, "sixth"))
	r.send(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":6}}`)
	require.Eventually(t, func() bool { return r.Waiting() == 0 }, patience, time.Millisecond)
	r.sandbox.Close() // ends the delays
	var answered []string
	for range 5 {
		answered = append(answered, string(r.answer(t).ID))
	}
	assert.ElementsMatch(t, []string{"1", "2", "3", "4", "5"}, answered)
	r.send(t, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"list_images"}}`)
	last := r.answer(t)
	assert.Equal(t, "7", string(last.ID), "the cancelled one gets no answer")
	assert.Contains(t, string(last.Result), `"spent_today_usd":0.05`)
	assert.EqualValues(t, 5, r.sandbox.Posts())
}

// An image whose request was sent is saved although its call was cancelled.
func TestStdio_CancelAfterTheRequestWasSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.handshake(t)
	r.send(t, generate(1, "sandbox:delay=50ms kept"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	r.send(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	require.Eventually(t, func() bool {
		r.send(t, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_images"}}`)
		return strings.Contains(string(r.answer(t).Result), "kept")
	}, patience, 10*time.Millisecond)
}

// Each violation of the protocol has its error code.
func TestStdio_InvalidMessages(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.handshake(t)
	for line, code := range map[string]int{
		`{`: -32700, `nonsense`: -32700, `{"id":1,"method":"ping"}`: -32600, `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`: -32600,
		`{"jsonrpc":"2.0","id":null,"method":"ping"}`: -32600, `{"jsonrpc":"2.0","id":{},"method":"ping"}`: -32600, `{"jsonrpc":"2.0","id":true,"method":"ping"}`: -32600, `"x"`: -32600, `{"jsonrpc":"2.0","id":1,"method":"no/such"}`: -32601,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"paint"}}`: -32602,
		`{"jsonrpc":"2.0","ID":1,"METHOD":"tools/list"}`:                           -32600, `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`: -32600,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_images","Name":"generate_image"}}`:           -32600,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_images","arguments":{"limit":1,"limit":2}}}`: -32600,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_images","arguments":{}},"":1,"":2}`:          -32600,
	} {
		r.send(t, line)
		m := r.answer(t)
		require.NotNil(t, m.Error, line)
		assert.Equal(t, code, m.Error.Code, line)
	}
	for _, silent := range []string{"", "   ", `{"jsonrpc":"2.0","method":"notifications/unknown"}`, `{"jsonrpc":"2.0","id":9,"result":{}}`} {
		r.send(t, silent)
	}
	for _, good := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":{"x":1,"X":[{"x":1},{"x":{"method":1,"METHOD":2}}]},"b":{"x":1},"":"","method":1}}`,
		`{"params":{"Arguments2":"name","x":"name"},"jsonrpc":"2.0","id":1,"method":"ping"}`,
	} {
		r.send(t, good)
		require.Nil(t, r.answer(t).Error, good)
	}
}

// A line beyond the limit ends the session with an error.
func TestStdio_LineTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.handshake(t)
	go func() {
		_, _ = io.WriteString(r.in, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"`)
		for range 17 {
			_, _ = r.in.Write(bytes.Repeat([]byte("x"), 1<<20))
		}
	}()
	m := r.answer(t)
	require.NotNil(t, m.Error)
	assert.Contains(t, m.Error.Message, "16 MiB")
	require.Error(t, <-r.ended)
}

// From 2026-07-28 on a client gets only notifications that it asked for, marked
// with its subscription.
func TestStdio_StatelessSubscription(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.start(t)
	call := strings.Replace(generate(1, "a fox"), `"_meta":{"progressToken":"t1"}`, statelessMeta, 1)
	r.send(t, call)
	m := r.next(t)
	require.Equal(t, "1", string(m.ID), "no notification came before")
	assert.Contains(t, string(m.Result), `"resultType":"complete"`)
	r.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{%s,"notifications":{"resourcesListChanged":true}}}`, statelessMeta))
	require.Equal(t, "notifications/subscriptions/acknowledged", r.next(t).Method)
	r.send(t, call)
	changed := r.next(t)
	require.Equal(t, "notifications/resources/list_changed", changed.Method)
	assert.Equal(t, map[string]any{"io.modelcontextprotocol/subscriptionId": "sub"}, changed.Params["_meta"])
	require.Equal(t, "1", string(r.next(t).ID))
	require.NoError(t, r.in.Close())
	require.NoError(t, <-r.ended, "an open subscription does not hold the end up")
}

// Two hundred calls run at once, and do not hold up other requests.
func TestStdio_CallsRunAtOnce(t *testing.T) {
	t.Parallel()
	const calls = 200
	r := newRig(t, nil)
	var running atomic.Int64
	release := make(chan struct{})
	r.AddTool("wait", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		running.Add(1)
		<-release
		return mcp.NewToolResultText("done"), nil
	})
	r.handshake(t)
	for id := range calls {
		r.send(t, call(id, "wait", "{}"))
	}
	r.send(t, `{"jsonrpc":"2.0","id":"ping","method":"ping"}`)
	assert.Equal(t, `"ping"`, string(r.answer(t).ID), "calls in flight do not hold others up")
	require.Eventually(t, func() bool { return running.Load() == calls }, patience, time.Millisecond, "all are in flight at once")
	close(release)
	for range calls {
		require.Nil(t, r.answer(t).Error)
	}
}

// A host that stopped reading does not hold up the end.
func TestStdio_EndWithoutReader(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *settings) { c.Grace = 50 * time.Millisecond })
	in, theirs := io.Pipe()
	never, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- r.ServeStdio(context.Background(), in, out) }()
	_, err := io.WriteString(theirs, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`+"\n")
	require.NoError(t, err)
	require.NoError(t, theirs.Close())
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the server hangs")
	}
	never.Close()
}

// Calls that the end of the grace period cuts off are still answered.
func TestStdio_CutOffCallIsAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *settings) { c.Grace = 0 })
	r.AddTool("wait", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		<-ctx.Done()
		return mcp.NewToolResultText("cut off"), nil
	})
	r.handshake(t)
	r.send(t, call(1, "wait", "{}"))
	require.NoError(t, r.in.Close())
	assert.Contains(t, string(r.answer(t).Result), "cut off")
}

// Notifications that precede the last response are written before the end.
func TestStdio_NotificationsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	const sent = 100 // few enough to be written within limit.FlushTimeout on a busy machine
	r.AddTool("notify", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for range sent {
			if err := server.ServerFromContext(ctx).SendNotificationToSpecificClient("stdio", "notifications/test", nil); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("sent"), nil
	})
	r.handshake(t)
	r.send(t, call(1, "notify", "{}"))
	require.NoError(t, r.in.Close())
	got := 0
	for line := range r.lines {
		if strings.Contains(line, "notifications/test") {
			got++
		}
	}
	assert.Equal(t, sent, got)
}
