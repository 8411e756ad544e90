package accounts

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// generate requests an image and returns the text of the result.
type generate func(ctx context.Context, prompt string) (text string, failed bool, err error)

// sessionOver returns a function that generates images in a session of its own.
func sessionOver(t *testing.T, c *client.Client, err error) generate {
	t.Helper()
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context()))
	t.Cleanup(func() { c.Close() })
	_, err = c.Initialize(t.Context(), mcp.InitializeRequest{Params: mcp.InitializeParams{
		ProtocolVersion: "2025-11-25", ClientInfo: mcp.Implementation{Name: "t", Version: "1"},
	}})
	require.NoError(t, err)
	return func(ctx context.Context, prompt string) (string, bool, error) {
		result, err := c.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{
			Name: "generate_image", Arguments: map[string]any{"prompt": prompt, "size": "512x512"},
		}})
		if err != nil {
			return "", false, err
		}
		return mcp.GetTextFromContent(result.Content[0]), result.IsError, nil
	}
}

// withoutSession returns a function that generates images by requests of the protocol
// without sessions.
func withoutSession(s *server, token string) generate {
	return func(ctx context.Context, prompt string) (string, bool, error) {
		_, _, text := s.stateless(ctx, token, "tools/call", "generate_image", fmt.Sprintf(`"name":"generate_image","arguments":{"prompt":%q,"size":"512x512"}`, prompt))
		var m testrig.Message
		var result testrig.ToolResult
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			return "", false, fmt.Errorf("%s: %w", text, err)
		}
		if err := json.Unmarshal(m.Result, &result); err != nil {
			return "", false, fmt.Errorf("%s: %w", text, err)
		}
		return result.Content[0].Text, result.IsError, nil
	}
}

// An owner's quota is exact, however many sessions of the owner race for it, over all
// transports.
func TestQuotas_Race(t *testing.T) {
	const pictures, sessions = 20, 8
	p := newProvider(t, "ACCOUNTS=anna")
	quotas := filepath.Join(t.TempDir(), "quotas")
	require.NoError(t, os.WriteFile(quotas, fmt.Appendf(nil, "*  refuse\n%s  pictures=%d\n", p.owner("anna"), pictures), 0o600))
	s := newServer(t, p, "--quotas", quotas)
	var callers []generate
	for range sessions {
		token := p.token("anna", s.base+"/mcp", scopes)
		header := map[string]string{"Authorization": "Bearer " + token}
		streamable, err := client.NewStreamableHttpClient(s.base+"/mcp", transport.WithHTTPHeaders(header))
		callers = append(callers, sessionOver(t, streamable, err))
		sse, err := client.NewSSEMCPClient(s.base+"/sse", client.WithHeaders(map[string]string{"Authorization": "Bearer " + p.token("anna", s.base+"/sse", scopes)}))
		callers = append(callers, sessionOver(t, sse, err), withoutSession(s, token))
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	made, refusal := 0, ""
	for caller, generate := range callers {
		all.Go(func() {
			for n := range pictures + 1 {
				text, failed, err := generate(t.Context(), fmt.Sprintf("picture %d of caller %d", n, caller))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if failed {
					refusal = text
				} else {
					made++
				}
				mu.Unlock()
				if failed {
					assert.Contains(t, text, "budget_exceeded")
					return
				}
			}
		})
	}
	all.Wait()
	assert.Equal(t, pictures, made)
	assert.EqualValues(t, pictures, s.api.Posts(), "requests for images")
	assert.Equal(t, pictures, strings.Count(s.images(p.owner("anna"), "list", "--limit", "0", "--json"), `"saved"`))
	assert.Contains(t, refusal, fmt.Sprint(pictures), "the refusal names the quota")
	assert.NotContains(t, refusal, "--daily-budget")
	t.Logf("%d callers, %d images; the others are told: %s", len(callers), made, refusal)
}
