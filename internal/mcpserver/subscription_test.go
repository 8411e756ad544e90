package mcpserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/mcpserver"
)

// duplex is a client that receives all messages in one stream.
type duplex struct {
	send func(line string)
	next func() message
	stop func() // the server, as a signal does
	made func() // makes the server generate an image
}

func duplexes(t *testing.T) map[string]duplex {
	t.Helper()
	lines := newRig(t, inOrder)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	lines.startUntil(ctx, t)
	r := newWebRig(t, webOptions{})
	s := r.openSSE(t)
	// A client in the same process makes the images, so that its responses are
	// not in the stream.
	maker := func(srv *mcpserver.Server) func() {
		c, err := srv.Client(t.Context(), "maker", "1")
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, c.Close()) })
		return func() {
			request := mcp.CallToolRequest{}
			request.Params.Name, request.Params.Arguments = "generate_image", map[string]any{"prompt": "a fox", "size": "512x512"}
			result, err := c.CallTool(t.Context(), request)
			require.NoError(t, err)
			require.False(t, result.IsError)
		}
	}
	return map[string]duplex{
		"stdio": {func(line string) { lines.send(t, line) }, func() message { return lines.next(t) }, cancel, maker(lines.Server)},
		"sse":   {func(line string) { s.send(t, line) }, func() message { return s.next(t) }, r.stop, maker(r.Server)},
	}
}

func listenFor(id, filter string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"subscriptions/listen","params":{%s,"notifications":%s}}`, id, statelessMeta, filter)
}

// subscriptionOf returns the subscription id of a message, as it is written.
func subscriptionOf(t *testing.T, m message) string {
	t.Helper()
	if m.Params != nil {
		tag, err := json.Marshal(m.Params["_meta"].(map[string]any)["io.modelcontextprotocol/subscriptionId"])
		require.NoError(t, err)
		return string(tag)
	}
	var result struct {
		Meta map[string]json.RawMessage `json:"_meta"`
	}
	require.NoError(t, json.Unmarshal(m.Result, &result))
	return string(result.Meta["io.modelcontextprotocol/subscriptionId"])
}

// Several subscriptions of one connection are independent.
func TestSubscriptions_Independent(t *testing.T) {
	t.Parallel()
	for name, d := range duplexes(t) {
		t.Run(name, func(t *testing.T) {
			const changed, updated = "notifications/resources/list_changed", "notifications/resources/updated"
			acknowledged := func(id string) {
				t.Helper()
				m := d.next()
				require.Equal(t, "notifications/subscriptions/acknowledged", m.Method)
				assert.Equal(t, id, subscriptionOf(t, m))
			}
			d.send(listenFor(`"first"`, `{"resourcesListChanged":true}`))
			acknowledged(`"first"`)
			d.send(listenFor(`"second"`, `{"resourceSubscriptions":["zai-image://images/01m7wnsdj83vthhjy68qfe1hke"]}`))
			acknowledged(`"second"`)
			d.send(listenFor(`"third"`, `{"resourcesListChanged":true}`))
			acknowledged(`"third"`)

			d.made()
			received := map[string]string{}
			for range 2 {
				m := d.next()
				received[subscriptionOf(t, m)] = m.Method
			}
			assert.Equal(t, map[string]string{`"first"`: changed, `"third"`: changed}, received)

			// Closing one does not affect the others.
			d.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"third",` + statelessMeta + `}}`)
			d.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"second",` + statelessMeta + `}}`)
			d.send(listenFor(`"fourth"`, `{}`)) // ends at once: its response shows that the cancels were handled
			acknowledged(`"fourth"`)
			require.Equal(t, `"fourth"`, string(d.next().ID))
			d.made()
			m := d.next()
			assert.Equal(t, changed, m.Method)
			assert.Equal(t, `"first"`, subscriptionOf(t, m))
		})
	}
}

// When the server ends, each subscription gets its result, under its id as it
// was written.
func TestSubscriptions_Results(t *testing.T) {
	t.Parallel()
	for name, d := range duplexes(t) {
		t.Run(name, func(t *testing.T) {
			ids := []string{`"first"`, "9007199254740993", "2.0"}
			for _, id := range ids {
				d.send(listenFor(id, `{"resourcesListChanged":true}`))
				require.Equal(t, "notifications/subscriptions/acknowledged", d.next().Method)
			}
			d.stop()
			answered := map[string]string{}
			for range ids {
				m := d.next()
				require.Nil(t, m.Error)
				answered[string(m.ID)] = subscriptionOf(t, m)
			}
			for _, id := range ids {
				assert.Equal(t, id, answered[id])
			}
		})
	}
}
