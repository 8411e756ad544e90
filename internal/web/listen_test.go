package web_test

import (
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

// Listen opens only what the settings allow, and names the wrong setting.
func TestListen(t *testing.T) {
	tokens := testrig.TokenFile(t, "alice:"+aliceToken)
	issuer := func(change func(*web.IssuerConfig)) web.IssuerConfig {
		c := web.IssuerConfig{URL: "https://id.example.com", HTTP: &http.Client{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		change(&c)
		return c
	}
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
		{web.ListenConfig{Listen: "0.0.0.0:0", Issuer: issuer(func(*web.IssuerConfig) {})}, "", "http://"},
		{web.ListenConfig{Listen: "0.0.0.0:0", AuthTokens: tokens, Issuer: issuer(func(*web.IssuerConfig) {})}, "", "http://"},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.URL = "http://id.example.com" })}, "--oidc-issuer", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.URL = "${user_config.issuer}" })}, "--oidc-issuer", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.URL = "null" })}, "--oidc-issuer", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.Audiences = []string{"a", ""} })}, "--oidc-audience", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.OwnerClaim = "two words" })}, "--oidc-owner-claim", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.Scopes = "one two" })}, "--oidc-scopes", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.Scopes = "one,two,three" })}, "--oidc-scopes", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.Scopes = "one," })}, "--oidc-scopes", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.Scopes = ",two" })}, "--oidc-scopes", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.Scopes = " one , two " })}, "", "http://"},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.ClientID = "0oa1 b" })}, "--oidc-client-id", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: issuer(func(c *web.IssuerConfig) { c.ClientID = "https://x.example/client.json" })}, "", "http://127.0.0.1:"},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: web.IssuerConfig{ClientID: "a"}}, "--oidc-client-id", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: web.IssuerConfig{Audiences: []string{"a"}}}, "--oidc-audience", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: web.IssuerConfig{Scopes: "a"}}, "--oidc-scopes", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: web.IssuerConfig{OwnerClaim: "email"}}, "--oidc-owner-claim", ""},
		{web.ListenConfig{Listen: "127.0.0.1:0", Issuer: web.IssuerConfig{OwnerClaim: "sub"}}, "", "http://127.0.0.1:"},
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
	assert.NotErrorAs(t, err, &setting, "the setting is not wrong")
}

// Without a public URL, clients of a server on all addresses use a name that the
// server does not know as an audience.
func TestListen_AudienceOfUnknownName(t *testing.T) {
	for _, tt := range []struct {
		listen, public string
		audiences      []string
		warns          bool
	}{
		{"0.0.0.0:0", "", nil, true}, {"0.0.0.0:0", "https://x.example", nil, false}, {"0.0.0.0:0", "", []string{"mine"}, false}, {"127.0.0.1:0", "", nil, false},
	} {
		var log testrig.Buffer
		e, err := web.Listen(t.Context(), web.ListenConfig{Listen: tt.listen, PublicURL: tt.public, Issuer: web.IssuerConfig{
			URL: "https://id.example.com", Audiences: tt.audiences, HTTP: &http.Client{}, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil)),
		}})
		require.NoError(t, err)
		e.Listener.Close()
		assert.Equal(t, tt.warns, strings.Contains(log.String(), "--public-url"), "%v", tt)
	}
}
