package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// Pages of an allowed origin may send requests and read the responses.
func TestCORS(t *testing.T) {
	r := newRig(t, web.ListenConfig{AllowOrigins: []string{"https://App.example.com/"}})
	const page = "https://app.example.com"
	response := r.do(t, "OPTIONS", "/mcp", "", "Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,mcp-session-id")
	assert.Equal(t, http.StatusNoContent, response.StatusCode)
	assert.Equal(t, page, response.Header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, response.Header.Get("Access-Control-Allow-Headers"), "Mcp-Session-Id")
	assert.Contains(t, response.Header.Get("Access-Control-Allow-Methods"), "DELETE")
	response = r.do(t, "POST", "/mcp", testrig.Initialize, "Origin", page)
	assert.Equal(t, 200, response.StatusCode)
	assert.Equal(t, page, response.Header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, response.Header.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id")
	assert.Equal(t, "Origin", response.Header.Get("Vary"))
}

// The path does not bypass the tokens.
func TestRoutes_PathOfThePublicURLNeedsTokens(t *testing.T) {
	r := newRig(t, web.ListenConfig{PublicURL: "https://x.example/zai", AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken)})
	for _, path := range []string{"/zai/mcp", "/mcp/", "/zai/metrics", "/zai/images/01m7wnsdj83vthhjy68qfe1hke.png", "/zai/nothing"} {
		status, _ := r.ask(t, http.MethodPost, path, testrig.Initialize)
		assert.Equal(t, http.StatusUnauthorized, status, path)
	}
}

// Only bodies without content encoding are accepted.
func TestRoutes_ContentEncoding(t *testing.T) {
	r := newRig(t, web.ListenConfig{})
	for encoding, want := range map[string]int{"identity": 200, "Identity": 200, "gzip": 415, "identity, gzip": 415} {
		status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, "Content-Encoding", encoding)
		assert.Equal(t, want, status, encoding)
	}
}
