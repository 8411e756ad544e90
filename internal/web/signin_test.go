package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
	"zai-image-mcp/resources"
)

// newSignInRig returns a server whose users sign in to the gallery at the issuer, as alice.
func newSignInRig(t testing.TB, public string, change ...func(*web.Config)) (*rig, *testrig.Issuer, *resources.Library) {
	t.Helper()
	issuer := testrig.NewIssuer(t)
	c := web.ListenConfig{PublicURL: public, Issuer: issuerConfig(t, issuer)}
	c.Issuer.ClientID = "gallery"
	l := testrig.Library(t)
	r := newRigWithLinks(t, c, resources.NewLinks(l, "", time.Hour), append(change, func(c *web.Config) { c.Library = l })...)
	issuer.Audience, issuer.Subject = r.Base()+"/mcp", "alice"
	issuer.Clients = map[string]string{"gallery": r.Base() + "/gallery/callback"}
	return r, issuer, l
}

// browse serves the rig until the test ends and returns a browser.
func browse(t testing.TB, r *rig) *http.Client {
	t.Helper()
	server := &http.Server{Handler: r.Server, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(r.Listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
}

func open(t testing.TB, browser *http.Client, address string) (at *url.URL, page string) {
	t.Helper()
	response, err := browser.Get(address)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(text))
	return response.Request.URL, string(text)
}

// From a link to an image over the provider to the image, with a browser that keeps cookies
// and follows redirects. The session opens nothing but the gallery.
func TestSignIn(t *testing.T) {
	r, issuer, l := newSignInRig(t, "")
	i := saveImage(t, l, strings.TrimPrefix(issuer.URL, "http://")+"/alice")
	browser := browse(t, r)
	at, page := open(t, browser, fmt.Sprintf("http://localhost:%d/gallery/%s", r.addr.Port, i.ID))
	assert.Equal(t, "/gallery/login", at.Path)
	link := regexp.MustCompile(`href="([^"]*/signin[^"]*)"`).FindStringSubmatch(page)
	require.Len(t, link, 2, page)
	at, page = open(t, browser, link[1])
	assert.Equal(t, r.Base()+"/gallery/"+i.ID, at.String(), "where the provider sends browsers back to")
	assert.Contains(t, page, i.Prompt)
	open(t, browser, r.Base()+"/gallery/images/"+i.ID)
	for _, path := range []string{"/images/" + i.ID, "/metrics", "/sse"} {
		response, err := browser.Get(r.Base() + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusUnauthorized, response.StatusCode, path)
	}
	assert.NotContains(t, r.log.String(), "state=")
}

// An owner who may not use the server cannot sign in at the provider either.
func TestSignIn_RefusedOwner(t *testing.T) {
	r, issuer, _ := newSignInRig(t, "", func(c *web.Config) {
		c.Refused = func(owner string) bool { return strings.HasSuffix(owner, "/mallory") }
	})
	issuer.Subject = "mallory"
	response, err := browse(t, r).Get(r.Base() + "/gallery/signin")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	assert.Contains(t, string(text), "this server does not serve")
}

// The provider's page leads back to the gallery. Other pages can do nothing with that.
func TestSignIn_ForeignPages(t *testing.T) {
	for public, root := range map[string]string{"https://images.example.com": "/gallery/", "https://x.example/zai": "/zai/gallery/"} {
		r, _, _ := newSignInRig(t, public)
		response := r.do(t, http.MethodGet, root+"signin", "", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
		require.Equal(t, http.StatusSeeOther, response.StatusCode)
		there, err := response.Location()
		require.NoError(t, err)
		assert.Equal(t, public+"/gallery/callback", there.Query().Get("redirect_uri"))
		assert.Equal(t, public+"/mcp", there.Query().Get("resource"))
		assert.Equal(t, bothScopes, there.Query().Get("scope"))
		callback := root + "callback?error=access_denied&state=" + there.Query().Get("state")
		cookie := response.Cookies()[0].Name + "=" + response.Cookies()[0].Value
		for _, tt := range []struct {
			method, mode, dest string
			headers            []string
			want               int
		}{
			{http.MethodGet, "navigate", "document", []string{"Cookie", cookie}, http.StatusForbidden}, // admitted; there is no iss
			{http.MethodGet, "navigate", "document", nil, http.StatusBadRequest},                       // admitted, without the cookie
			{http.MethodGet, "navigate", "iframe", nil, http.StatusForbidden},
			{http.MethodGet, "no-cors", "image", nil, http.StatusForbidden},
			{http.MethodGet, "cors", "empty", []string{"Origin", "https://evil.example"}, http.StatusForbidden},
			{http.MethodPost, "navigate", "document", []string{"Origin", "https://evil.example", "Content-Type", formType}, http.StatusForbidden},
		} {
			answer := r.do(t, tt.method, callback, "", append(tt.headers, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", tt.mode, "Sec-Fetch-Dest", tt.dest)...)
			assert.Equal(t, tt.want, answer.StatusCode, "%+v", tt)
			isPage := strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html")
			assert.Equal(t, tt.method == http.MethodGet && tt.dest == "document", isPage, "%+v", tt)
		}
	}
}
