package accounts

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// register registers a public client with a redirect URI and returns its id.
func (p *provider) register(redirectURI string) string {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{
		"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code"}, "response_types": []string{"code"},
	})
	require.NoError(p.t, err)
	response, err := http.Post(p.issuer+"/reg", "application/json", strings.NewReader(string(body)))
	require.NoError(p.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	var client struct {
		ID string `json:"client_id"`
	}
	require.NoError(p.t, json.Unmarshal(text, &client), string(text))
	require.NotEmpty(p.t, client.ID, string(text))
	return client.ID
}

// browser returns a browser in which an account is signed in at the provider.
func (p *provider) browser(account string) *http.Client {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(p.t, err)
	at, err := url.Parse(p.issuer)
	require.NoError(p.t, err)
	jar.SetCookies(at, []*http.Cookie{{Name: "account", Value: account}})
	return &http.Client{Jar: jar}
}

// People sign in to the gallery at the provider and see their own images.
func TestGallery_SignIn(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "ACCOUNTS=anna,bert")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	id := p.register("http://" + address + "/gallery/callback")
	s := newServer(t, p, "--listen", address, "--oidc-client-id", id, "--oidc-scopes", strings.ReplaceAll(scopes, " ", ","))
	require.Equal(t, "http://"+address, s.base)
	anna := newPerson(s, p.owner("anna"), p.token("anna", s.base+"/mcp", scopes), "harbor")
	bert := newPerson(s, p.owner("bert"), p.token("bert", s.base+"/mcp", scopes), "meadow")
	for account, seen := range map[string][2]*person{"anna": {anna, bert}, "bert": {bert, anna}} {
		own, other := seen[0], seen[1]
		browser := p.browser(account)
		open := func(path string) (at, page string, status int) {
			response, err := browser.Get(s.base + path)
			require.NoError(t, err)
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return response.Request.URL.Path, string(text), response.StatusCode
		}
		_, page, _ := open("/gallery/" + own.id)
		require.Contains(t, page, `href="`+s.base+"/gallery/signin?to=%2Fgallery%2F"+own.id)
		at, page, status := open("/gallery/signin?to=/gallery/" + own.id)
		require.Equal(t, http.StatusOK, status, page)
		assert.Equal(t, "/gallery/"+own.id, at)
		assert.Contains(t, page, own.secret)
		_, page, _ = open("/gallery/")
		assert.Contains(t, page, own.id)
		assert.NotContains(t, page, other.id)
		_, _, status = open("/gallery/" + other.id)
		assert.Equal(t, http.StatusNotFound, status)
	}
	assert.Equal(t, 2, p.counts()["authorization_code"])
}
