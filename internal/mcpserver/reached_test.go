package mcpserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/web"
)

// The server is reached by the names it was told, however proxies and browsers
// write them, and by no others.
func TestGuard_NamesAsProxiesAndBrowsersWriteThem(t *testing.T) {
	for _, tt := range []struct {
		public, allowed, host, origin string
		want                          int
	}{
		// A proxy may drop the port of Host, or put its own there.
		{public: "https://images.example.com:8443", host: "images.example.com", want: 200},
		{public: "https://images.example.com:8443", host: "images.example.com:8080", want: 200},
		{public: "https://images.example.com", host: "IMAGES.example.com:8443", want: 200},
		{public: "https://[2001:db8::1]", host: "[2001:db8::1]:8443", want: 200},
		{public: "https://images.example.com", host: "images.example.com.evil.example", want: 403},
		{public: "https://images.example.com", host: "evil.example:443", want: 403},
		{public: "https://images.example.com", host: "evil.example@images.example.com", want: 403},
		// The port of an origin counts, unless it is the one that the scheme implies.
		{public: "https://images.example.com:8443", host: "images.example.com", origin: "https://images.example.com:8443", want: 200},
		{public: "https://images.example.com:8443", host: "images.example.com", origin: "https://images.example.com", want: 403},
		{public: "https://images.example.com:443", host: "images.example.com", origin: "https://images.example.com", want: 200},
		{allowed: "https://app.example.com:443", origin: "https://app.example.com", want: 200},
		{allowed: "http://app.example.com:80/", origin: "http://app.example.com", want: 200},
		{allowed: "https://app.example.com:80", origin: "https://app.example.com", want: 403},
		{allowed: "https://app.example.com:80", origin: "https://app.example.com:80", want: 200},
		{allowed: "http://[::1]:80", origin: "http://[::1]", want: 200},
		// Names in other scripts come in their ASCII form.
		{public: "https://bücher.example", host: "xn--bcher-kva.example", origin: "https://xn--bcher-kva.example", want: 200},
		{allowed: "https://BÜCHER.example:8443", origin: "https://xn--bcher-kva.example:8443", want: 200},
		{allowed: "https://my_app.internal", origin: "https://my_app.internal", want: 200},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			address := web.ListenConfig{PublicURL: tt.public}
			if tt.allowed != "" {
				address.AllowOrigins = []string{tt.allowed}
			}
			r := newWebRig(t, webOptions{address: address})
			headers := []string{}
			if tt.host != "" {
				headers = append(headers, "Host", tt.host)
			}
			if tt.origin != "" {
				headers = append(headers, "Origin", tt.origin)
			}
			status, text := r.ask(t, http.MethodPost, "/mcp", initialize, headers...)
			assert.Equal(t, tt.want, status, text)
		})
	}
	web, err := web.Listen(t.Context(), web.ListenConfig{Listen: "127.0.0.1:0", PublicURL: "https://Bücher.example:443/zai/"})
	require.NoError(t, err)
	defer web.Listener.Close()
	assert.Equal(t, "https://xn--bcher-kva.example/zai", web.Base(), "links are written so that every client can open them")
}

// Load balancers ask in HTTP/1.0 without a Host, or under an address of their
// own. Only what tells nothing is answered.
func TestGuard_HealthChecks(t *testing.T) {
	r := newWebRig(t, webOptions{})
	for _, path := range []string{"/healthz", "/readyz"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "GET "+path+" HTTP/1.0\r\n\r\n")
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, map[string]int{"/healthz": 200, "/readyz": 403}[path], response.StatusCode)
	}
	response := r.do(t, http.MethodGet, "/healthz", "", "Origin", "https://evil.example")
	assert.Equal(t, 200, response.StatusCode)
	assert.Empty(t, response.Header.Get("Access-Control-Allow-Origin"), "no page can read it")
	status, _ := r.ask(t, http.MethodPost, "/healthz", initialize, "Host", "evil.example")
	assert.Equal(t, 403, status)
}

// A path in the public URL may be taken away by a proxy or not, and clients on
// the machine do without it.
func TestWeb_PathOfThePublicURL(t *testing.T) {
	r := newWebRig(t, webOptions{address: web.ListenConfig{PublicURL: "https://x.example/zai/"}})
	s := r.openSSE(t) // under the listener's own address
	require.True(t, strings.HasPrefix(s.endpoint, "/zai/message?"), s.endpoint)
	s.send(t, initialize)
	assert.Equal(t, `"hello"`, string(s.answer(t).ID))
	s.endpoint = strings.TrimPrefix(s.endpoint, "/zai") // as a proxy leaves it
	s.send(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	assert.Equal(t, "1", string(s.answer(t).ID))
	for path, want := range map[string]int{"/zai/mcp": 200, "/zai/mcp/": 200, "/mcp": 200, "/mcp/": 200, "/zaimcp": 404, "/other/mcp": 404, "/zai/zai/mcp": 404} {
		status, text := r.ask(t, http.MethodPost, path, initialize)
		assert.Equal(t, want, status, "%s: %s", path, text)
	}
	for path, want := range map[string]int{"/zai/healthz": 200, "/zai/images/01m7wnsdj83vthhjy68qfe1hke.png?exp=1&sig=x": 403, "/zai": 404} {
		status, text := r.ask(t, http.MethodGet, path, "")
		assert.Equal(t, want, status, "%s: %s", path, text)
	}
	status, _ := r.ask(t, http.MethodPost, "/mcp/?inline=large", initialize)
	assert.Equal(t, http.StatusBadRequest, status, "the URL says the same with a slash")
}

// The path is no way around the tokens.
func TestWeb_PathOfThePublicURLNeedsTokens(t *testing.T) {
	r := newWebRig(t, webOptions{address: web.ListenConfig{PublicURL: "https://x.example/zai", AuthTokens: tokensFile(t, "alice:"+aliceToken)}})
	for _, path := range []string{"/zai/mcp", "/mcp/", "/zai/metrics", "/zai/images/01m7wnsdj83vthhjy68qfe1hke.png", "/zai/nothing"} {
		status, _ := r.ask(t, http.MethodPost, path, initialize)
		assert.Equal(t, http.StatusUnauthorized, status, path)
	}
}

func TestWeb_ContentEncodings(t *testing.T) {
	r := newWebRig(t, webOptions{})
	for encoding, want := range map[string]int{"identity": 200, "Identity": 200, "gzip": 415, "identity, gzip": 415} {
		status, _ := r.ask(t, http.MethodPost, "/mcp", initialize, "Content-Encoding", encoding)
		assert.Equal(t, want, status, encoding)
	}
}
