package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// A foreign Origin or a foreign Host is refused before anything happens,
// whatever else the request looks like.
func TestGuard_AttackMatrix(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		t.Run(listen, func(t *testing.T) {
			address := web.ListenConfig{Listen: listen, PublicURL: "https://images.example.com", AllowOrigins: []string{"https://app.example.com"}}
			if listen != "127.0.0.1:0" {
				address.AuthTokens = testrig.TokenFile(t, "alice:"+aliceToken)
			}
			r := newRig(t, address)
			attackMatrix(t, r)
		})
	}
}

func attackMatrix(t *testing.T, r *rig) {
	t.Helper()
	port := strconv.Itoa(r.addr.Port)
	origins := map[string]bool{ // and whether they are allowed
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
	const body = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}`
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
						headers := []string{"Host", host, "Content-Type", mediaType}
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
							want = http.StatusOK // it reveals nothing, and load balancers use addresses of their own
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
	assert.Zero(t, r.app.requests.Load(), "none reached the server")
}

// The server is reached by its names, in all forms that proxies and browsers
// write, and by no others.
func TestGuard_Names(t *testing.T) {
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
			r := newRig(t, address)
			headers := []string{}
			if tt.host != "" {
				headers = append(headers, "Host", tt.host)
			}
			if tt.origin != "" {
				headers = append(headers, "Origin", tt.origin)
			}
			status, text := r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, headers...)
			assert.Equal(t, tt.want, status, text)
		})
	}
	web, err := web.Listen(t.Context(), web.ListenConfig{Listen: "127.0.0.1:0", PublicURL: "https://Bücher.example:443/zai/"})
	require.NoError(t, err)
	defer web.Listener.Close()
	assert.Equal(t, "https://xn--bcher-kva.example/zai", web.Base(), "links are written so that every client can open them")
}

// Load balancers send HTTP/1.0 without a Host, or an address of their own as
// Host. Only /healthz answers them, which reveals nothing.
func TestGuard_HealthChecks(t *testing.T) {
	r := newRig(t, web.ListenConfig{})
	server := httptest.NewServer(r)
	defer server.Close()
	for _, path := range []string{"/healthz", "/readyz"} {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
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
	status, _ := r.ask(t, http.MethodPost, "/healthz", testrig.Initialize, "Host", "evil.example")
	assert.Equal(t, 403, status)
}
