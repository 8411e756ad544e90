package mcpserver_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One client cannot use all places for calls: beyond its share it is refused,
// and others continue.
func TestCalls_QuotaOfAClient(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	release := make(chan struct{})
	var waiting atomic.Int64
	r.AddTool("wait", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		waiting.Add(1)
		<-release
		return mcp.NewToolResultText("done"), nil
	})
	greedy, modest := r.session(t), r.session(t)
	var all sync.WaitGroup
	var done, refused atomic.Int64
	for id := range 300 {
		all.Go(func() {
			_, text := r.ask(t, http.MethodPost, "/mcp", call(id, "wait", "{}"), greedy...)
			switch {
			case strings.Contains(text, "done"):
				done.Add(1)
			case strings.Contains(text, "(kind: rate_limited)"):
				refused.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return waiting.Load() == 256 && refused.Load() == 44 }, patience, time.Millisecond)
	_, text := r.ask(t, http.MethodPost, "/mcp", call(1, "list_images", "{}"), greedy...)
	assert.Contains(t, text, `"kind":"rate_limited"`)
	_, text = r.ask(t, http.MethodPost, "/mcp", call(1, "list_images", "{}"), modest...)
	assert.Contains(t, text, `"images":[]`)
	_, text = r.ask(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":"ping","method":"ping"}`, greedy...)
	assert.Contains(t, text, `"result"`)
	close(release)
	all.Wait()
	assert.EqualValues(t, 256, done.Load())
	assert.Zero(t, r.sandbox.Posts())
}

// The progress of a queued call names the calls before it.
func TestCalls_ProgressInTheQueue(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	named := r.session(t)
	var all sync.WaitGroup
	for id := range 7 { // five run at once
		all.Go(func() { r.ask(t, http.MethodPost, "/mcp", generate(id, fmt.Sprint("sandbox:delay=1h ", id)), named...) })
	}
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 5 }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return r.Waiting() == 2 }, patience, time.Millisecond)
	response := r.do(t, http.MethodPost, "/mcp", generate(9, "last"), named...)
	var progress []any
	last := message{}
	for m := range events(t, response.Body) {
		if m == nil {
			continue // a heartbeat
		}
		if last = *m; m.Method != "" {
			progress = append(progress, m.Params["message"])
			r.sandbox.Close() // ends the delays
		}
	}
	assert.Contains(t, progress, "queued, 2 before you")
	assert.Contains(t, string(last.Result), `"saved"`)
	all.Wait()
}
