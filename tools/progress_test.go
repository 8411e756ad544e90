package tools_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/tools"
)

func TestProgress_Messages(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.call(t, "generate_image", `{"prompt":"sandbox:delay=4500ms","size":"512x512"}`)
		require.Eventually(t, func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.progress) >= 3
		}, time.Second, time.Millisecond)
		r.mu.Lock()
		defer r.mu.Unlock()
		var messages []string
		last := -1.0
		for _, p := range r.progress {
			assert.Equal(t, "p", p["progressToken"])
			assert.Greater(t, p["progress"], last, "it must increase")
			last = p["progress"].(float64)
			assert.Less(t, last, p["total"])
			messages = append(messages, regexp.MustCompile(`, [34] s`).ReplaceAllString(p["message"].(string), ", some s"))
		}
		want := []string{"queued", "generating", "generating, some s of about 8", "downloading"}
		assert.Equal(t, want[:min(len(messages), len(want))], messages, "neither past stages nor the end are reported")
	})
}

// The value increases with each notification and stays below the total, even
// for a call with several images.
func TestProgress_Increases(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for call := range 6 {
		r.mu.Lock()
		r.progress = nil
		r.mu.Unlock()
		_, s := r.call(t, "generate_image", fmt.Sprintf(`{"prompt":"fox %d","size":"512x512","n":4}`, call))
		require.Len(t, s.Images, 4)
		r.mu.Lock()
		last := -1.0
		for _, p := range r.progress {
			assert.Greater(t, p["progress"], last, p["message"])
			last = p["progress"].(float64)
			assert.Less(t, last, p["total"], p["message"])
		}
		r.mu.Unlock()
	}
}

// There is a pause between the last notification and the result: the official
// TypeScript client processes a result before a notification that arrives
// together with it, and then rejects the token as unknown.
func TestProgress_PauseBeforeResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := server.NewMCPServer("test", "1")
		s.AddTool(mcp.NewTool("generate"), func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			tools.NotifyAndEnd(ctx, request)
			return mcp.NewToolResultText("done"), nil
		})
		session := &listener{make(chan mcp.JSONRPCNotification, 1)}
		start := time.Now()
		s.HandleMessage(s.WithContext(t.Context(), session), json.RawMessage(
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate","arguments":{},"_meta":{"progressToken":1}}}`))
		assert.Equal(t, tools.Quiet, time.Since(start))
		assert.Len(t, session.received, 1)
	})
}

// listener is a session that receives progress notifications.
type listener struct{ received chan mcp.JSONRPCNotification }

func (*listener) SessionID() string                                     { return "listener" }
func (*listener) Initialize()                                           {}
func (*listener) Initialized() bool                                     { return true }
func (l *listener) NotificationChannel() chan<- mcp.JSONRPCNotification { return l.received }

func TestProgress_NotRequested(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		request := mcp.CallToolRequest{}
		request.Params.Name = "generate_image"
		request.Params.Arguments = map[string]any{"prompt": "a fox", "size": "512x512"}
		_, err := r.CallTool(t.Context(), request)
		require.NoError(t, err)
		synctest.Wait()
		assert.Empty(t, r.progress)
	})
}
