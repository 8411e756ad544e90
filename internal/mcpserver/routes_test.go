package mcpserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// A proxy may remove the path of the public URL or not, and clients on the same
// machine do not use it.
func TestRoutes_PathOfThePublicURL(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{address: web.ListenConfig{PublicURL: "https://x.example/zai/"}})
	s := r.openSSE(t) // under the listener's own address
	require.True(t, strings.HasPrefix(s.endpoint, "/zai/message?"), s.endpoint)
	s.send(t, testrig.Initialize)
	assert.Equal(t, `"hello"`, string(s.answer(t).ID))
	s.endpoint = strings.TrimPrefix(s.endpoint, "/zai") // as a proxy leaves it
	s.send(t, testrig.Ping)
	assert.Equal(t, "1", string(s.answer(t).ID))
	for path, want := range map[string]int{"/zai/mcp": 200, "/zai/mcp/": 200, "/mcp": 200, "/mcp/": 200, "/zaimcp": 404, "/other/mcp": 404, "/zai/zai/mcp": 404} {
		status, text := r.ask(t, http.MethodPost, path, testrig.Initialize)
		assert.Equal(t, want, status, "%s: %s", path, text)
	}
	for path, want := range map[string]int{"/zai/healthz": 200, "/zai/images/01m7wnsdj83vthhjy68qfe1hke.png?exp=1&sig=x": 403, "/zai": 404} {
		status, text := r.ask(t, http.MethodGet, path, "")
		assert.Equal(t, want, status, "%s: %s", path, text)
	}
	status, _ := r.ask(t, http.MethodPost, "/mcp/?inline=large", testrig.Initialize)
	assert.Equal(t, http.StatusBadRequest, status, "the query counts with a slash, too")
}
