package mcpserver_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// Browsers send no Origin where a page only embeds something.
func TestEmbeddingPages(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{})
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "none": 200, "same-origin": 200} {
		status, _ := r.ask(t, "GET", "/metrics", "", "Sec-Fetch-Site", site)
		assert.Equal(t, want, status, site)
	}
	status, _ := r.ask(t, "GET", "/images/01m7wnsdj83vthhjy68qfe1hke.png?exp=1&sig=x", "", "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, 403, status, "a link is judged by its signature")
}

// Bodies are bounded in size and time, and must be JSON.
func TestStreamable_Bodies(t *testing.T) {
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.BodyTime = 250 * time.Millisecond }})
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
			status, _ = r.ask(t, "POST", path, testrig.Ping, append([]string{"Content-Type", mediaType}, named...)...)
			assert.Equal(t, http.StatusUnsupportedMediaType, status, mediaType)
		}
		status, _ = r.ask(t, "POST", path, testrig.Ping, append([]string{"Content-Encoding", "gzip"}, named...)...)
		assert.Equal(t, http.StatusUnsupportedMediaType, status)
	}
	// A body that comes slowly is cut off, in all its parts.
	var all sync.WaitGroup
	for _, sent := range []string{"", "{", strings.Repeat(" ", 20<<10)} {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
		require.NoError(t, err)
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s: %s\r\nContent-Length: 100000\r\n\r\n%s",
			strings.TrimPrefix(r.base, "http://"), named[0], named[1], sent)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		all.Go(func() {
			defer c.Close()
			answer, err := io.ReadAll(c)
			if assert.NoError(t, err) {
				assert.Contains(t, string(answer), "408")
			}
		})
	}
	all.Wait()
	// The time for a body is not that of the connection: later requests on it work.
	for range 2 {
		status, _ := r.ask(t, "POST", "/mcp", testrig.Ping, named...)
		assert.Equal(t, 200, status)
		time.Sleep(300 * time.Millisecond) // past the deadline of the body
	}
}

// A call may take longer than a body, on a connection that was used before.
func TestStreamable_CallsOutliveTheBodyTime(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) {
		c.Limits.BodyTime, c.Limits.WriteTime = time.Second, time.Second
	}})
	named := r.session(t)
	for _, body := range []string{
		generate(1, "sandbox:delay=1500ms x"),
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=1500ms x"}}}`,
	} {
		list := messages(t, r.do(t, "POST", "/mcp", body, named...))
		assert.Contains(t, string(list[len(list)-1].Result), `"saved"`)
	}
}

const (
	aliceToken = "alice-0123456789abcdef"
	bobToken   = "bob-0123456789abcdef"
)

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// Without a right token nothing happens, on any route.
func TestTokens_Wrong(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{address: web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken)}})
	rounds := 20
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
		{"POST", "/mcp", testrig.Initialize}, {"POST", "/mcp", statelessCall(1, "generate_image", `{"prompt":"x"}`)}, {"GET", "/mcp", ""}, {"DELETE", "/mcp", ""},
		{"GET", "/sse", ""}, {"POST", "/message?sessionId=x", testrig.Initialize}, {"GET", "/images/01m7wnsdj83vthhjy68qfe1hke.png", ""},
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

// A changed file takes effect at once, and ends what its removed tokens opened.
func TestTokens_Reload(t *testing.T) {
	t.Parallel()
	file := testrig.TokenFile(t, "alice:"+aliceToken)
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
	require.Eventually(t, func() bool { return status(bobToken) == 200 }, patience, 20*time.Millisecond)
	assert.Equal(t, 401, status(aliceToken))
	_, err := io.ReadAll(stream.Body)
	require.NoError(t, err, "the stream ends")
	for range s.incoming {
	}
	// A broken file changes nothing but the log.
	require.NoError(t, os.WriteFile(file, []byte("bob:x"), 0o600))
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "failed to reload the tokens") }, patience, 20*time.Millisecond)
	assert.Equal(t, 200, status(bobToken))
	require.NoError(t, os.Remove(file))
	reload <- os.Interrupt
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "no such file") }, patience, time.Millisecond)
	assert.Equal(t, 200, status(bobToken))
}
