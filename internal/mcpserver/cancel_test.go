package mcpserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Queued calls that their client cancels are not sent, whatever the transport;
// cancels from another client have no effect.
func TestCancel_ManyQueuedCalls(t *testing.T) {
	t.Parallel()
	const calls = 50
	for _, transport := range []string{"streamable", "stateless", "sse"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			r := newWebRig(t, webOptions{config: func(c *settings) { c.Jobs.MaxConcurrent = 1 }})
			mine, another := r.session(t), r.session(t)
			s, other := r.openSSE(t), r.openSSE(t)
			first := make(chan struct{})
			go func() {
				defer close(first)
				r.ask(t, "POST", "/mcp", generate(1000, "sandbox:delay=1h first"), mine...)
			}()
			require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
			ctx, leave := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for id := range calls {
				switch transport {
				case "sse":
					s.send(t, generate(id, fmt.Sprint("waits ", id)))
				case "streamable":
					all.Go(func() { r.ask(t, "POST", "/mcp", generate(id, fmt.Sprint("waits ", id)), mine...) })
				case "stateless":
					all.Go(func() {
						r.postUntil(ctx, t, statelessCall(id, "generate_image", fmt.Sprintf(`{"prompt":"waits %d"}`, id)))
					})
				}
			}
			require.Eventually(t, func() bool { return r.Waiting() == calls }, patience, time.Millisecond)
			for id := range calls {
				cancel := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, id)
				r.ask(t, "POST", "/mcp", cancel, another...)
				other.send(t, cancel)
				r.ask(t, "POST", "/mcp", strings.Replace(cancel, `{"requestId"`, "{"+statelessMeta+`,"requestId"`, 1), statelessHeaders("notifications/cancelled", "")...)
			}
			require.Equal(t, calls, r.Waiting(), "a cancel from another client has no effect")
			for id := range calls {
				cancel := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, id)
				switch transport {
				case "sse":
					s.send(t, cancel)
				case "streamable":
					r.ask(t, "POST", "/mcp", cancel, mine...)
				}
			}
			leave()
			require.Eventually(t, func() bool { return r.Waiting() == 0 }, patience, time.Millisecond)
			all.Wait()
			r.sandbox.Close() // ends the delay
			<-first
			assert.EqualValues(t, 1, r.sandbox.Posts(), "none of them was sent")
			require.Eventually(t, func() bool { // their rows are written after they leave the queue
				_, text := r.ask(t, "POST", "/mcp", call(1, "list_images", "{}"), mine...)
				return strings.Contains(text, `"spent_today_usd":0.01`)
			}, patience, 10*time.Millisecond, "nor charged")
		})
	}
}

// postUntil posts a stateless call and leaves when ctx ends.
func (r *webRig) postUntil(ctx context.Context, t *testing.T, body string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Content-Type", "application/json")
	headers := statelessHeaders("tools/call", "generate_image")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if response, err := r.client.Do(request); err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}
