package mcpserver_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/web"
)

// No web page gets in: a foreign Origin or a foreign Host is turned away
// before anything happens, whatever else the request looks like.
func TestTheAttackMatrix(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		t.Run(listen, func(t *testing.T) {
			address := web.ListenConfig{Listen: listen, PublicURL: "https://images.example.com", AllowOrigins: []string{"https://app.example.com"}}
			if listen != "127.0.0.1:0" {
				address.AuthTokens = tokensFile(t, "alice:"+aliceToken)
			}
			r := newWebRig(t, webOptions{address: address})
			attackMatrix(t, r)
		})
	}
}

func attackMatrix(t *testing.T, r *webRig) {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.base, "http://"))
	require.NoError(t, err)
	r.base = "http://127.0.0.1:" + port
	origins := map[string]bool{ // and whether they may
		"": true, "http://127.0.0.1:" + port: true, "http://localhost:" + port: true, "https://images.example.com": true, "https://app.example.com": true,
		"null": false, "http://evil.example": false, "http://localhost": false, "http://127.0.0.1:1": false, "https://app.example.com.evil.example": false,
		"http://app.example.com": false, "file://": false, "http://127.0.0.1.nip.io:" + port: false, "https://localhost:" + port: false,
	}
	hosts := map[string]bool{
		"127.0.0.1:" + port: true, "localhost:" + port: true, "[::1]:" + port: true, "LOCALHOST:" + port: true, "images.example.com": true, "images.example.com:443": true,
		"evil.example": false, "evil.example:" + port: false, "127.0.0.1": false, "localhost:1": false, "0.0.0.0:" + port: false,
		"127.0.0.1.nip.io:" + port: false, "localhost.:" + port: false, "app.example.com": false, "2130706433:" + port: false,
	}
	types := []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"}
	paths := []string{"/mcp", "/sse", "/message?sessionId=x", "/images/01m7wnsdj83vthhjy68qfe1hke.png", "/metrics", "/healthz"}
	body := modernCall(1, "generate_image", `{"prompt":"attack"}`)
	requests := 0
	for origin, originOK := range origins {
		for host, hostOK := range hosts {
			for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
				for _, mediaType := range types {
					for _, path := range paths {
						isJSON := mediaType == types[0]
						if originOK && hostOK && (isJSON || method != "POST") {
							continue // not an attack
						}
						if method != "POST" && !isJSON {
							continue // has no body
						}
						requests++
						headers := append(modernHeaders("tools/call", "generate_image"), "Host", host, "Content-Type", mediaType)
						if origin != "" {
							headers = append(headers, "Origin", origin)
						}
						if method == "OPTIONS" {
							headers = append(headers, "Access-Control-Request-Method", "POST")
						}
						text := ""
						if method == "POST" {
							text = body
						}
						headers = append(headers, "Authorization", "Bearer "+aliceToken)
						response := r.do(t, method, path, text, headers...)
						answer, err := io.ReadAll(response.Body)
						require.NoError(t, err)
						response.Body.Close()
						want := http.StatusForbidden
						if originOK && hostOK {
							want = http.StatusUnsupportedMediaType
						} else if path == "/healthz" && method == "GET" {
							want = http.StatusOK // it says nothing, and load balancers ask under addresses of their own
							assert.Equal(t, "ok\n", string(answer))
						}
						if !assert.Equal(t, want, response.StatusCode, "%s %s Origin %q Host %q %s", method, path, origin, host, mediaType) {
							return
						}
						assert.NotContains(t, string(answer), "jsonrpc")
						if !originOK {
							assert.Empty(t, response.Header.Get("Access-Control-Allow-Origin"), "a page could read this")
						}
					}
				}
			}
		}
	}
	t.Log(requests, "requests")
	assert.Zero(t, r.sandbox.Posts())
	assert.NotContains(t, r.log.String(), "msg=call")
}

func TestPagesThatMayComeIn(t *testing.T) {
	r := newWebRig(t, webOptions{address: web.ListenConfig{AllowOrigins: []string{"https://App.example.com/"}}})
	const page = "https://app.example.com"
	response := r.do(t, "OPTIONS", "/mcp", "", "Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,mcp-session-id")
	assert.Equal(t, http.StatusNoContent, response.StatusCode)
	assert.Equal(t, page, response.Header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, response.Header.Get("Access-Control-Allow-Headers"), "Mcp-Session-Id")
	assert.Contains(t, response.Header.Get("Access-Control-Allow-Methods"), "DELETE")
	response = r.do(t, "POST", "/mcp", initialize, "Origin", page)
	assert.Equal(t, 200, response.StatusCode)
	assert.Equal(t, page, response.Header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, response.Header.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id")
	assert.Equal(t, "Origin", response.Header.Get("Vary"))
}

// Browsers send no Origin where a page only embeds something.
func TestEmbeddingPages(t *testing.T) {
	r := newWebRig(t, webOptions{})
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "none": 200, "same-origin": 200} {
		status, _ := r.ask(t, "GET", "/metrics", "", "Sec-Fetch-Site", site)
		assert.Equal(t, want, status, site)
	}
	status, _ := r.ask(t, "GET", "/images/01m7wnsdj83vthhjy68qfe1hke.png?exp=1&sig=x", "", "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, 403, status, "a link is judged by its signature")
}

func TestBodies(t *testing.T) {
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.BodyTime = 500 * time.Millisecond }})
	named := r.session(t)
	s := r.openSSE(t)
	large := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`
	fits := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 900<<10) + `"}}`
	for _, path := range []string{"/mcp", s.endpoint} {
		status, _ := r.ask(t, "POST", path, large, named...)
		assert.Equal(t, http.StatusRequestEntityTooLarge, status, path)
		status, _ = r.ask(t, "POST", path, fits, named...)
		assert.Less(t, status, 300, path)
		// Without a length it is counted.
		request, err := http.NewRequestWithContext(t.Context(), "POST", r.base+path, io.MultiReader(strings.NewReader(large)))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(named[0], named[1])
		if response, err := r.client.Do(request); err == nil { // else the server hung up first
			assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
			response.Body.Close()
		}
		for _, mediaType := range []string{"text/plain", "", "application/jsonx", "application/json, text/plain"} {
			status, _ = r.ask(t, "POST", path, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, append([]string{"Content-Type", mediaType}, named...)...)
			assert.Equal(t, http.StatusUnsupportedMediaType, status, mediaType)
		}
		status, _ = r.ask(t, "POST", path, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, append([]string{"Content-Encoding", "gzip"}, named...)...)
		assert.Equal(t, http.StatusUnsupportedMediaType, status)
	}
	// A body that comes slowly is cut off, in all its parts.
	for _, sent := range []string{"", "{", strings.Repeat(" ", 20<<10)} {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
		require.NoError(t, err)
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s: %s\r\nContent-Length: 100000\r\n\r\n%s",
			strings.TrimPrefix(r.base, "http://"), named[0], named[1], sent)
		began := time.Now()
		require.NoError(t, c.SetReadDeadline(began.Add(10*time.Second)))
		answer, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Contains(t, string(answer), "408")
		assert.Less(t, time.Since(began), 5*time.Second)
		c.Close()
	}
	// The time for a body is not that of the connection: later requests on it work.
	for range 2 {
		status, _ := r.ask(t, "POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, named...)
		assert.Equal(t, 200, status)
		time.Sleep(700 * time.Millisecond)
	}
}

// A call may take longer than a body, on a connection that was used before.
func TestCallsOutliveTheTimeForBodies(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) {
		c.Limits.BodyTime, c.Limits.WriteTime = 300*time.Millisecond, 300*time.Millisecond
	}})
	named := r.session(t)
	for _, body := range []string{
		generate(1, "sandbox:delay=1s x"),
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=1s x"}}}`,
	} {
		list := messages(t, r.do(t, "POST", "/mcp", body, named...))
		assert.Contains(t, string(list[len(list)-1].Result), `"saved"`)
	}
}

const (
	aliceToken = "alice-0123456789abcdef"
	bobToken   = "bob-0123456789abcdef"
)

func tokensFile(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	return path
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// Without a right token nothing happens, on any route.
func TestWrongTokens(t *testing.T) {
	r := newWebRig(t, webOptions{address: web.ListenConfig{AuthTokens: tokensFile(t, "alice:"+aliceToken)}})
	rounds := 100
	if os.Getenv("ZAI_TEST_FULL") != "" {
		rounds = 1000
	}
	var asked atomic.Int64
	wrong := func() []string {
		switch random := rand.Text(); random[0] % 6 {
		case 0:
			return nil
		case 1:
			return bearer(random)
		case 2:
			return bearer(aliceToken[:len(aliceToken)-1])
		case 3:
			return []string{"Authorization", "Basic " + aliceToken}
		case 4:
			return bearer(aliceToken + "x")
		default:
			return bearer("")
		}
	}
	routes := []struct{ method, path, body string }{
		{"POST", "/mcp", initialize}, {"POST", "/mcp", modernCall(1, "generate_image", `{"prompt":"x"}`)}, {"GET", "/mcp", ""}, {"DELETE", "/mcp", ""},
		{"GET", "/sse", ""}, {"POST", "/message?sessionId=x", initialize}, {"GET", "/images/01m7wnsdj83vthhjy68qfe1hke.png", ""},
		{"GET", "/readyz", ""}, {"GET", "/metrics", ""}, {"GET", "/nothing", ""},
	}
	for range rounds {
		for _, route := range routes {
			response := r.do(t, route.method, route.path, route.body, wrong()...)
			response.Body.Close()
			asked.Add(1)
			require.Equal(t, http.StatusUnauthorized, response.StatusCode, route)
			require.True(t, strings.HasPrefix(response.Header.Get("WWW-Authenticate"), "Bearer "))
		}
	}
	t.Log(asked.Load(), "requests")
	assert.Zero(t, r.sandbox.Posts())
	status, _ := r.ask(t, "GET", "/healthz", "")
	assert.Equal(t, 200, status)
	status, _ = r.ask(t, "GET", "/readyz", "", bearer(aliceToken)...)
	assert.Equal(t, 200, status)
	status, _ = r.ask(t, "GET", "/images/01m7wnsdj83vthhjy68qfe1hke.png?exp=1&sig=x", "")
	assert.Equal(t, 403, status, "a link needs no token, but a signature")
}

// A changed file counts at once, and ends what its lost tokens opened.
func TestTokensChange(t *testing.T) {
	t.Parallel()
	file := tokensFile(t, "alice:"+aliceToken)
	reload := make(chan os.Signal, 1)
	r := newWebRig(t, webOptions{address: web.ListenConfig{AuthTokens: file}, web: func(c *web.Config) { c.Reload = reload }})
	status := func(token string) int {
		code, _ := r.ask(t, "GET", "/readyz", "", bearer(token)...)
		return code
	}
	require.Equal(t, 200, status(aliceToken))
	stream := r.do(t, "GET", "/mcp", "", r.session(t, bearer(aliceToken)...)...)
	s := r.openSSE(t, bearer(aliceToken)...)
	require.NoError(t, os.WriteFile(file, []byte("bob:"+bobToken), 0o600))
	require.Eventually(t, func() bool { return status(bobToken) == 200 }, 5*time.Second, 20*time.Millisecond)
	assert.Equal(t, 401, status(aliceToken))
	_, err := io.ReadAll(stream.Body)
	require.NoError(t, err, "the stream ends")
	for range s.incoming {
	}
	// A broken file changes nothing but the log.
	require.NoError(t, os.WriteFile(file, []byte("bob:x"), 0o600))
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "failed to read tokens") }, 5*time.Second, 20*time.Millisecond)
	assert.Equal(t, 200, status(bobToken))
	require.NoError(t, os.Remove(file))
	reload <- os.Interrupt
	time.Sleep(100 * time.Millisecond)
	assert.Equal(t, 200, status(bobToken))
}

func TestAddresses(t *testing.T) {
	tokens := tokensFile(t, "alice:"+aliceToken)
	for _, tt := range []struct {
		address web.ListenConfig
		setting string
		base    string
	}{
		{web.ListenConfig{Listen: "127.0.0.1:0"}, "", "http://127.0.0.1:"},
		{web.ListenConfig{Listen: "localhost:0"}, "", "http://127.0.0.1:"},
		{web.ListenConfig{Listen: "[::1]:0"}, "", "http://[::1]:"},
		{web.ListenConfig{Listen: "0.0.0.0:0"}, "--listen", ""},
		{web.ListenConfig{Listen: ":0"}, "--listen", ""},
		{web.ListenConfig{Listen: "[::]:0"}, "--listen", ""},
		{web.ListenConfig{Listen: "192.0.2.1:0"}, "--listen", ""},
		{web.ListenConfig{Listen: "example.com:0"}, "--listen", ""},
		{web.ListenConfig{Listen: "8787"}, "--listen", ""},
		{web.ListenConfig{Listen: "0.0.0.0:0", AuthTokens: tokens}, "", "http://"},
		{web.ListenConfig{Listen: "127.0.0.1:0", AuthTokens: "/none"}, "--auth-tokens", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", PublicURL: "https://x.example/zai/"}, "", "https://x.example/zai"},
		{web.ListenConfig{Listen: "127.0.0.1:0", PublicURL: "x.example"}, "--public-url", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", PublicURL: "ftp://x.example"}, "--public-url", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", PublicURL: "https://u:p@x.example"}, "--public-url", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", AllowOrigins: []string{"*"}}, "--allow-origin", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", AllowOrigins: []string{"https://*.example.com"}}, "--allow-origin", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", AllowOrigins: []string{"null"}}, "--allow-origin", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", AllowOrigins: []string{"https://example.com/path"}}, "--allow-origin", ""},
	} {
		c, err := web.Listen(t.Context(), tt.address)
		if tt.setting == "" {
			if err != nil && strings.Contains(tt.address.Listen, "::1") {
				continue // a machine without IPv6
			}
			require.NoError(t, err, tt.address)
			assert.True(t, strings.HasPrefix(c.Base(), tt.base), c.Base())
			c.Listener.Close()
			continue
		}
		var setting *web.ConfigError
		require.ErrorAs(t, err, &setting, "%v", tt.address)
		assert.Equal(t, tt.setting, setting.Setting)
		assert.NotEmpty(t, setting.Hint)
	}
	taken, err := web.Listen(t.Context(), web.ListenConfig{Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer taken.Listener.Close()
	_, err = web.Listen(t.Context(), web.ListenConfig{Listen: taken.Listener.Addr().String()})
	require.ErrorContains(t, err, "in use")
	var setting *web.ConfigError
	assert.NotErrorAs(t, err, &setting, "no fault of the setting")
}
