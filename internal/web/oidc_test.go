package web_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

const (
	publicURL    = "https://images.example.com"
	metadataPath = "/.well-known/oauth-protected-resource"
	bothScopes   = "images:read images:generate"
)

// issuerConfig returns the settings for an issuer with both scopes.
func issuerConfig(t testing.TB, issuer *testrig.Issuer) web.IssuerConfig {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return web.IssuerConfig{URL: issuer.URL, Scopes: "images:read,images:generate", HTTP: client, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

// newIssuerRig returns a server at a public URL that accepts the tokens of an
// issuer, and the issuer.
func newIssuerRig(t testing.TB, public string, change ...func(*web.ListenConfig)) (*rig, *testrig.Issuer) {
	t.Helper()
	issuer := testrig.NewIssuer(t)
	issuer.Audience = public + "/mcp"
	c := web.ListenConfig{PublicURL: public, Issuer: issuerConfig(t, issuer)}
	for _, f := range change {
		f(&c)
	}
	return newRig(t, c), issuer
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// with returns the claims of a token with these scopes.
func with(scopes string) map[string]any { return map[string]any{"scope": scopes} }

// The metadata names the endpoint to the letter, and the issuer as its own
// metadata spells it. It is found with and without the path of the public URL.
func TestMetadata(t *testing.T) {
	for _, tt := range []struct {
		name, public string
		paths        map[string]string // and the resource
	}{
		{"root", publicURL, map[string]string{
			metadataPath: "/mcp", metadataPath + "/": "/mcp", metadataPath + "/mcp": "/mcp", metadataPath + "/mcp/": "/mcp", metadataPath + "/sse": "/sse",
		}},
		{"path", publicURL + "/zai/", map[string]string{
			// Clients insert the well-known part before the path, and a proxy may
			// remove the path or not.
			metadataPath + "/zai/mcp": "/zai/mcp", metadataPath + "/zai/sse": "/zai/sse", metadataPath + "/zai": "/zai/mcp",
			metadataPath + "/mcp": "/zai/mcp", metadataPath + "/sse": "/zai/sse", metadataPath: "/zai/mcp",
			"/zai" + metadataPath + "/mcp": "/zai/mcp", "/zai" + metadataPath: "/zai/mcp",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, issuer := newIssuerRig(t, tt.public)
			issuer.Answer(testrig.IssuerMetadata, func(w http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer.URL + "/", "jwks_uri": issuer.URL + testrig.IssuerKeys})
			})
			for path, resource := range tt.paths {
				response := r.do(t, http.MethodGet, path, "")
				require.Equal(t, http.StatusOK, response.StatusCode, path)
				assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
				var document map[string]any
				require.NoError(t, json.NewDecoder(response.Body).Decode(&document))
				assert.Equal(t, map[string]any{
					"resource": publicURL + resource, "authorization_servers": []any{issuer.URL + "/"}, "scopes_supported": []any{"images:read", "images:generate"},
					"bearer_methods_supported": []any{"header"}, "resource_name": "Z.AI images",
				}, document, path)
			}
			status, _ := r.ask(t, http.MethodGet, metadataPath+"/message", "")
			assert.Equal(t, http.StatusUnauthorized, status, "there is no such resource")
		})
	}
}

func TestMetadata_WithoutScopes(t *testing.T) {
	r, _ := newIssuerRig(t, publicURL, func(c *web.ListenConfig) { c.Issuer.Scopes = "" })
	_, text := r.ask(t, http.MethodGet, metadataPath+"/mcp", "")
	assert.NotContains(t, text, "scopes_supported")
	assert.NotContains(t, r.do(t, http.MethodPost, "/mcp", testrig.Ping).Header.Get("WWW-Authenticate"), "scope")
}

func TestMetadata_NotWithoutIssuer(t *testing.T) {
	r := newRig(t, web.ListenConfig{})
	status, _ := r.ask(t, http.MethodGet, metadataPath+"/mcp", "")
	assert.Equal(t, http.StatusNotFound, status)
	r = newRig(t, web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken)})
	status, _ = r.ask(t, http.MethodGet, metadataPath+"/mcp", "")
	assert.Equal(t, http.StatusUnauthorized, status)
}

// Pages of every origin read the metadata, as clients in a browser do, but only
// at a host of this server.
func TestMetadata_Guard(t *testing.T) {
	r, _ := newIssuerRig(t, publicURL)
	for _, tt := range []struct {
		method  string
		headers []string
		want    int
	}{
		{http.MethodGet, []string{"Origin", "https://evil.example"}, http.StatusOK},
		{http.MethodGet, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusOK},
		{http.MethodHead, []string{"Origin", "null"}, http.StatusOK},
		{http.MethodOptions, []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "mcp-protocol-version"}, http.StatusNoContent},
		{http.MethodGet, []string{"Host", "images.example.com"}, http.StatusOK},
		{http.MethodGet, []string{"Host", "evil.example"}, http.StatusForbidden},
		{http.MethodOptions, []string{"Host", "evil.example", "Origin", "https://evil.example", "Access-Control-Request-Method", "GET"}, http.StatusForbidden},
		{http.MethodPost, nil, http.StatusMethodNotAllowed},
		{http.MethodDelete, nil, http.StatusMethodNotAllowed},
	} {
		response := r.do(t, tt.method, metadataPath+"/mcp", "", tt.headers...)
		assert.Equal(t, tt.want, response.StatusCode, "%s %v", tt.method, tt.headers)
		if tt.want < 300 {
			assert.Equal(t, "*", response.Header.Get("Access-Control-Allow-Origin"))
			assert.Empty(t, response.Header.Get("Access-Control-Allow-Credentials"))
		}
		if tt.want == http.StatusNoContent {
			assert.Equal(t, "*", response.Header.Get("Access-Control-Allow-Headers"))
		}
	}
	status, _ := r.ask(t, http.MethodGet, "/mcp", "", "Origin", "https://evil.example")
	assert.Equal(t, http.StatusForbidden, status, "of nothing else")
}

// Every request without a good token is answered with where to get one, whatever
// its method: clients read the header of GET and HEAD, too.
func TestChallenge(t *testing.T) {
	r, issuer := newIssuerRig(t, publicURL+"/zai", func(c *web.ListenConfig) {
		c.AuthTokens = testrig.TokenFile(t, "alice:"+aliceToken)
	})
	basis := func(endpoint string) string {
		return `Bearer realm="zai-image-mcp", resource_metadata="` + publicURL + metadataPath + "/zai" + endpoint + `", scope="` + bothScopes + `"`
	}
	invalid := func(reason string) string { return `, error="invalid_token", error_description="` + reason + `"` }
	past := time.Now().Add(-time.Hour).Unix()
	for path, endpoint := range map[string]string{"/mcp": "/mcp", "/zai/mcp": "/mcp", "/sse": "/sse", "/message?sessionId=x": "/sse", "/metrics": "/mcp", "/nothing": "/mcp"} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodOptions} {
			for _, tt := range []struct{ authorization, failure string }{
				{"", ""}, {"Basic YTpi", ""}, {"Bearer", ""}, {"Bearer ", ""},
				{"Bearer " + bobToken, invalid("the token is not a signed JWT")},
				{"Bearer " + issuer.Token("ann", map[string]any{"scope": bothScopes, "exp": past}), invalid("the token has expired")},
				{"Bearer " + issuer.Token("ann", map[string]any{"scope": bothScopes, "aud": "https://other.example"}), invalid("the token is for another audience")},
			} {
				var headers []string
				if tt.authorization != "" {
					headers = []string{"Authorization", tt.authorization}
				}
				response := r.do(t, method, path, "", headers...)
				assert.Equal(t, http.StatusUnauthorized, response.StatusCode, "%s %s %s", method, path, tt.authorization)
				assert.Equal(t, basis(endpoint)+tt.failure, response.Header.Get("WWW-Authenticate"), "%s %s", method, path)
			}
		}
	}
	for _, token := range []string{aliceToken, issuer.Token("ann", map[string]any{"scope": bothScopes, "aud": publicURL + "/zai/sse"})} {
		status, text := r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, bearer(token)...)
		assert.Equal(t, http.StatusOK, status, text)
	}
	for _, path := range []string{"/healthz", metadataPath} {
		status, _ := r.ask(t, http.MethodGet, path, "")
		assert.Equal(t, http.StatusOK, status, path)
	}
}

// Clients that try HTTP+SSE where there is none are sent to metadata that exists.
func TestChallenge_WithoutSSE(t *testing.T) {
	issuer := testrig.NewIssuer(t)
	r := newRigWithLinks(t, web.ListenConfig{PublicURL: publicURL, Issuer: issuerConfig(t, issuer)}, nil, func(c *web.Config) { c.SSE = false })
	for _, path := range []string{"/mcp", "/sse", "/message"} {
		challenge := r.do(t, http.MethodGet, path, "").Header.Get("WWW-Authenticate")
		assert.Contains(t, challenge, `resource_metadata="`+publicURL+metadataPath+`/mcp"`, path)
	}
	status, _ := r.ask(t, http.MethodGet, metadataPath+"/sse", "")
	assert.Equal(t, http.StatusUnauthorized, status)
}

// Without an issuer there is nothing to point to.
func TestChallenge_TokenFile(t *testing.T) {
	r := newRig(t, web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken)})
	assert.Equal(t, `Bearer realm="zai-image-mcp"`, r.do(t, http.MethodGet, "/mcp", "").Header.Get("WWW-Authenticate"))
	assert.Equal(t, `Bearer realm="zai-image-mcp", error="invalid_token"`, r.do(t, http.MethodGet, "/mcp", "", bearer(bobToken)...).Header.Get("WWW-Authenticate"))
}

// A token that lacks the scope of all requests is answered with all scopes, so
// that the client asks once. One that may not come in at all is not sent to the
// issuer again.
func TestChallenge_Forbidden(t *testing.T) {
	r, issuer := newIssuerRig(t, publicURL)
	response := r.do(t, http.MethodPost, "/mcp", testrig.Initialize, bearer(issuer.Token("ann", with("email")))...)
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	assert.Equal(t, `Bearer realm="zai-image-mcp", resource_metadata="`+publicURL+metadataPath+`/mcp", scope="`+bothScopes+
		`", error="insufficient_scope", error_description="the token lacks a scope"`, response.Header.Get("WWW-Authenticate"))

	response = r.do(t, http.MethodPost, "/mcp", testrig.Initialize, bearer(issuer.Token("", with(bothScopes)))...)
	assert.Equal(t, http.StatusForbidden, response.StatusCode, "no claim names the owner")
	assert.Empty(t, response.Header.Get("WWW-Authenticate"))
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Contains(t, string(text), "sub")
}

// While the issuer is down, a token is neither good nor bad: a 401 would make
// clients throw it away. The server starts without the issuer.
func TestChallenge_IssuerDown(t *testing.T) {
	r, issuer := newIssuerRig(t, publicURL)
	issuer.SetDown(true)
	token := bearer(issuer.Token("ann", with(bothScopes)))
	for path, headers := range map[string][]string{"/mcp": token, "/sse": token, metadataPath + "/mcp": nil} {
		response := r.do(t, http.MethodGet, path, "", headers...)
		assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, path)
		assert.Equal(t, "15", response.Header.Get("Retry-After"), path)
		assert.Empty(t, response.Header.Get("WWW-Authenticate"), path)
	}
	status, _ := r.ask(t, http.MethodGet, "/mcp", "")
	assert.Equal(t, http.StatusUnauthorized, status, "no token, nothing to ask the issuer")
	issuer.SetDown(false)
	status, text := r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, token...)
	assert.Equal(t, http.StatusOK, status, text)
}

// Owners that are refused get an answer in words. Signed links and health checks
// are still served.
func TestChallenge_RefusedOwner(t *testing.T) {
	issuer := testrig.NewIssuer(t)
	issuer.Audience = publicURL + "/mcp"
	_, host, _ := strings.Cut(issuer.URL, "://")
	r := newRigWithLinks(t, web.ListenConfig{PublicURL: publicURL, Issuer: issuerConfig(t, issuer)}, nil, func(c *web.Config) {
		c.Refused = func(owner string) bool { return owner == host+"/leaver" }
	})
	response := r.do(t, http.MethodPost, "/mcp", testrig.Initialize, bearer(issuer.Token("leaver", with(bothScopes)))...)
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	assert.Empty(t, response.Header.Get("WWW-Authenticate"))
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, "This server does not serve "+host+"/leaver; ask who runs it.\n", string(text))
	status, _ := r.ask(t, http.MethodGet, "/healthz", "", bearer(issuer.Token("leaver", with(bothScopes)))...)
	assert.Equal(t, http.StatusOK, status)
	status, _ = r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, bearer(issuer.Token("ann", with(bothScopes)))...)
	assert.Equal(t, http.StatusOK, status)
}

// A call that generates images needs the second scope. The answer comes before a
// stream begins and before anything reaches the server.
func TestStepUp(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{}}}`
	r, issuer := newIssuerRig(t, publicURL)
	reader, maker := bearer(issuer.Token("ann", with("images:read"))), bearer(issuer.Token("ann", with(bothScopes)))
	opened := r.do(t, http.MethodPost, "/mcp", testrig.Initialize, reader...)
	require.Equal(t, http.StatusOK, opened.StatusCode)
	session := []string{"Mcp-Session-Id", opened.Header.Get("Mcp-Session-Id")}
	before := r.app.requests.Load()
	response := r.do(t, http.MethodPost, "/mcp", call, append(session, reader...)...)
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	assert.Equal(t, before, r.app.requests.Load())
	challenge := response.Header.Get("WWW-Authenticate")
	assert.Contains(t, challenge, `error="insufficient_scope"`)
	assert.Contains(t, challenge, `scope="`+bothScopes+`"`)
	assert.Contains(t, challenge, `resource_metadata="`+publicURL+metadataPath+`/mcp"`)
	status, text := r.ask(t, http.MethodPost, "/mcp", testrig.Ping, append(session, reader...)...)
	assert.Equal(t, http.StatusOK, status, text)
	// The session goes on with the other token.
	status, text = r.ask(t, http.MethodPost, "/mcp", call, append(session, maker...)...)
	assert.Equal(t, http.StatusOK, status, text)
}
