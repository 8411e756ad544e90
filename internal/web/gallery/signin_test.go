package gallery_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web/gallery"
	"zai-image-mcp/resources"
)

const base = "https://images.example.com"

// providerRig is a gallery to which users sign in at an issuer. They are alice unless a
// test changes that.
type providerRig struct {
	*rig
	issuer *testrig.Issuer
	host   string // of the issuer
}

func newProviderRig(t testing.TB) *providerRig {
	t.Helper()
	return newProviderRigOf(t, testrig.Library(t))
}

func newProviderRigOf(t testing.TB, l *resources.Library) *providerRig {
	t.Helper()
	p := &providerRig{issuer: testrig.NewIssuer(t)}
	p.host = strings.TrimPrefix(p.issuer.URL, "http://")
	p.issuer.Clients, p.issuer.Subject = map[string]string{"gallery": base + gallery.CallbackPath}, "alice"
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	oidc, err := auth.NewOIDC(auth.OIDCConfig{
		Issuer: p.issuer.URL, Audiences: []string{p.issuer.Audience}, OwnerClaim: "sub", HTTP: client, Now: func() time.Time { return p.now }, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	p.rig = newRigOf(t, l, func(c *gallery.Config) {
		c.Auth, c.Open, c.Provider, c.Base, c.PublicURL = oidc, false, oidc.SignIn("gallery", base+gallery.CallbackPath), base, parseURL(t, base)
	})
	p.issuer.Now = func() time.Time { return p.now }
	return p
}

// leave begins a sign-in and returns the address of the provider.
func (p *providerRig) leave(t testing.TB, to string) string {
	t.Helper()
	answer := p.do(t, http.MethodGet, "/gallery/signin?"+url.Values{"to": {to}}.Encode(), "")
	sees(t, http.StatusSeeOther, answer, "signin")
	return answer.Header.Get("Location")
}

// comeBack signs in at the provider and returns the path to which it sends the browser.
func (p *providerRig) comeBack(t testing.TB, address string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(address)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusFound, response.StatusCode, string(text))
	path, ok := strings.CutPrefix(response.Header.Get("Location"), base)
	require.True(t, ok)
	return path
}

func (p *providerRig) redemptions() int { return p.issuer.Requests(testrig.IssuerToken) }

// A user signs in at the provider, sees the page that was asked for, and stays signed in
// until the token expires.
func TestGallery_Provider(t *testing.T) {
	p := newProviderRig(t)
	owner := p.host + "/alice"
	i := p.save(t, of(owner))
	hidden := p.save(t, of("alice"))

	page := p.get(t, "/gallery/login?to=/gallery/"+i.ID)
	links := nodes(t, page.body, "a")
	begin := links[len(links)-1]
	assert.Equal(t, "Sign in with "+p.host, text(begin))
	start := attribute(begin, "href")
	assert.Equal(t, base+"/gallery/signin?to=%2Fgallery%2F"+i.ID, start)

	answer := p.do(t, http.MethodGet, strings.TrimPrefix(start, base), "")
	sees(t, http.StatusSeeOther, answer, "signin")
	require.Len(t, answer.Cookies(), 1)
	c := answer.Cookies()[0]
	assert.Equal(t, "__Host-zai_gallery_signin / true 600", fmt.Sprint(c.Name, " ", c.Path, " ", c.Secure, " ", c.MaxAge))
	assert.True(t, c.HttpOnly)
	assert.Equal(t, http.SameSiteLaxMode, c.SameSite)
	there := parseURL(t, answer.Header.Get("Location"))
	assert.Equal(t, p.issuer.URL+testrig.IssuerAuthorization, there.Scheme+"://"+there.Host+there.Path)
	assert.GreaterOrEqual(t, len(there.Query().Get("state")), 26)
	sees(t, http.StatusSeeOther, p.do(t, http.MethodGet, "/gallery/", ""), "not yet signed in")

	answer = p.do(t, http.MethodGet, p.comeBack(t, there.String()), "")
	sees(t, http.StatusSeeOther, answer, "callback")
	assert.Equal(t, "/gallery/"+i.ID, answer.Header.Get("Location"))
	require.Len(t, answer.Cookies(), 2)
	assert.Equal(t, c.Name, answer.Cookies()[0].Name)
	assert.Negative(t, answer.Cookies()[0].MaxAge)
	assert.Equal(t, "__Host-zai_gallery", answer.Cookies()[1].Name)
	assert.WithinDuration(t, p.now.Add(time.Hour), answer.Cookies()[1].Expires, time.Second)
	assert.Equal(t, []string{i.ID}, shown(t, p.get(t, "/gallery/").body))
	sees(t, http.StatusNotFound, p.do(t, http.MethodGet, "/gallery/"+hidden.ID, ""), "the owner of the same name in a file of tokens")

	p.now = p.now.Add(time.Hour)
	sees(t, http.StatusSeeOther, p.do(t, http.MethodGet, "/gallery/", ""), "the token has expired")
}

// Only the browser that began a sign-in finishes it, once, in time, with the answer to it.
func TestGallery_ProviderAttacks(t *testing.T) {
	const over = "is over already"
	for _, tt := range []struct {
		name    string
		attack  func(p *providerRig, path string) string // changes the browser or the path
		status  int
		text    string
		redeems bool
	}{
		{"wrong state", func(_ *providerRig, path string) string { return strings.Replace(path, "state=", "state=X", 1) }, 400, over, false},
		{"no state", func(_ *providerRig, path string) string { return strings.Replace(path, "state=", "x=", 1) }, 400, over, false},
		{"another state before the right one", func(_ *providerRig, path string) string { return strings.Replace(path, "?", "?state=X&", 1) }, 400, over, false},
		{"no cookie", func(p *providerRig, path string) string { p.cookies = nil; return path }, 400, over, false},
		{"expired", func(p *providerRig, path string) string { p.now = p.now.Add(10 * time.Minute); return path }, 400, over, false},
		{"cookie of another sign-in", func(p *providerRig, path string) string { p.leave(t, ""); return path }, 400, over, false},
		{"forged cookie", func(p *providerRig, path string) string { p.cookies[0].Value = "A" + p.cookies[0].Value; return path }, 400, over, false},
		{"cookie of another server", func(p *providerRig, path string) string {
			other := newProviderRig(t)
			other.leave(t, "")
			p.cookies = other.cookies
			return path
		}, 400, over, false},
		{"another issuer", func(p *providerRig, path string) string {
			return strings.Replace(path, url.QueryEscape(p.issuer.URL), "https%3A%2F%2Fevil.example", 1)
		}, 403, "not of this issuer", false},
		{"refused", func(_ *providerRig, path string) string {
			return path + "&error=access_denied&error_description=%3Cimg+src%3Dx%3E%E2%80%AE"
		}, 403, `access_denied: &lt;img src=x&gt;\u202e`, false},
		{"another code", func(_ *providerRig, path string) string { return strings.Replace(path, "code=", "code=X", 1) }, 403, "invalid_grant", true},
		{"code of another sign-in", func(p *providerRig, path string) string {
			mine := p.cookies
			theirs := parseURL(t, p.comeBack(t, p.leave(t, ""))).Query().Get("code")
			p.cookies = mine
			u := parseURL(t, path)
			query := u.Query()
			query.Set("code", theirs)
			return u.Path + "?" + query.Encode()
		}, 403, "invalid_grant", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProviderRig(t)
			path := tt.attack(p, p.comeBack(t, p.leave(t, "/gallery/spending")))
			answer := p.do(t, http.MethodGet, path, "")
			sees(t, tt.status, answer, tt.name)
			assert.Contains(t, answer.body, tt.text)
			assert.NotContains(t, answer.body, "<img src=x")
			assert.Contains(t, answer.body, "/gallery/signin", "users can try again")
			for _, c := range answer.Cookies() {
				assert.Negative(t, c.MaxAge, "no session")
			}
			assert.Equal(t, tt.redeems, p.redemptions() > 0)
		})
	}
}

// The cookie of a sign-in is removed with its use, and the code is good once.
func TestGallery_ProviderReplay(t *testing.T) {
	p := newProviderRig(t)
	path := p.comeBack(t, p.leave(t, ""))
	kept := p.cookies
	sees(t, http.StatusSeeOther, p.do(t, http.MethodGet, path, ""), "first")
	sees(t, http.StatusBadRequest, p.do(t, http.MethodGet, path, ""), "reloaded")
	p.cookies = kept
	sees(t, http.StatusForbidden, p.do(t, http.MethodGet, path, ""), "with the cookie of before")
	for range 20 { // the issuer is not asked without limit
		p.cookies = kept
		p.do(t, http.MethodGet, path, "")
	}
	assert.LessOrEqual(t, p.redemptions(), 10)
	p.cookies = kept
	sees(t, http.StatusTooManyRequests, p.do(t, http.MethodGet, path, ""), "too often")
}

// A cookie of one kind is not one of the other kind.
func TestGallery_ProviderCookieKinds(t *testing.T) {
	p := newProviderRig(t)
	path := p.comeBack(t, p.leave(t, ""))
	signingIn := p.cookies[0].Value
	sees(t, http.StatusSeeOther, p.do(t, http.MethodGet, path, ""), "callback")
	session := p.cookies[0].Value
	p.cookies = []*http.Cookie{{Name: "__Host-zai_gallery", Value: signingIn}}
	sees(t, http.StatusSeeOther, p.do(t, http.MethodGet, "/gallery/", ""), "a sign-in as a session")
	p.cookies = []*http.Cookie{{Name: "__Host-zai_gallery_signin", Value: session}}
	sees(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/gallery/callback?code=c&state=", ""), "a session as a sign-in")
	p.cookies = []*http.Cookie{{Name: "__Host-zai_gallery", Value: session}}
	p.get(t, "/gallery/")
}

// The token must be good, and its owner may be refused.
func TestGallery_ProviderToken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		claims map[string]any
		status int
		text   string
	}{
		{"another audience", map[string]any{"aud": "https://other.example.com/mcp"}, 401, "is not accepted: the token is for another audience."},
		{"expired", map[string]any{"exp": 1}, 401, "the token has expired."},
		{"identity token", map[string]any{"at_hash": "x"}, 401, "an identity token"},
		{"refused owner", map[string]any{"email_verified": false, "sub": "two words"}, 403, "cannot be used here: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProviderRig(t)
			p.issuer.Answer(testrig.IssuerToken, func(w http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(w).Encode(map[string]string{"access_token": p.issuer.Token("alice", tt.claims)})
			})
			answer := p.do(t, http.MethodGet, p.comeBack(t, p.leave(t, "/gallery/spending")), "")
			sees(t, tt.status, answer, tt.name)
			assert.Contains(t, answer.body, "The token of "+p.host)
			assert.Contains(t, answer.body, tt.text)
			assert.Contains(t, answer.body, `value="/gallery/spending"`)
			assert.Empty(t, p.cookies)
		})
	}
}

// While the provider does not answer, the page says so, and users can still use a token.
func TestGallery_ProviderDown(t *testing.T) {
	p := newProviderRig(t)
	path := p.comeBack(t, p.leave(t, ""))
	for name, answer := range map[string]http.HandlerFunc{
		"down": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"huge": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<20)) },
	} {
		p.issuer.Answer(testrig.IssuerToken, answer)
		kept := p.cookies
		response := p.do(t, http.MethodGet, path, "")
		sees(t, http.StatusServiceUnavailable, response, name)
		assert.NotEmpty(t, response.Header.Get("Retry-After"))
		assert.Contains(t, response.body, "You cannot sign in at "+p.host+" now")
		assert.Empty(t, p.cookies)
		p.cookies = kept
	}
	assert.Contains(t, p.log.String(), "502 Bad Gateway")

	p = newProviderRig(t)
	p.issuer.SetDown(true)
	response := p.do(t, http.MethodGet, "/gallery/signin?to=/gallery/spending", "")
	sees(t, http.StatusServiceUnavailable, response, "signin")
	assert.Contains(t, response.body, `value="/gallery/spending"`)
	assert.Empty(t, p.cookies)
	p.get(t, "/gallery/login")
}

// A sign-in ends on a page of the gallery, however it is begun.
func TestGallery_ProviderTarget(t *testing.T) {
	for to, want := range map[string]string{
		"":                                       "/gallery/",
		"/gallery/?q=a+fox":                      "/gallery/?q=a+fox",
		"//evil.example/gallery/":                "/gallery/",
		"https://evil.example/gallery/spending":  "/gallery/",
		"/gallery/signin":                        "/gallery/", // would begin again, without end
		"/gallery/callback?code=x":               "/gallery/",
		"/gallery/login":                         "/gallery/",
		"/gallery/?" + strings.Repeat("q&", 990): "/gallery/", // too long for a cookie
	} {
		p := newProviderRig(t)
		answer := p.do(t, http.MethodGet, p.comeBack(t, p.leave(t, to)), "")
		sees(t, http.StatusSeeOther, answer, to)
		assert.Equal(t, want, answer.Header.Get("Location"), to)
	}
}

// Without a provider there is nothing to sign in at.
func TestGallery_WithoutProvider(t *testing.T) {
	r := newRig(t, withTokens(t))
	assert.NotContains(t, r.get(t, "/gallery/login").body, "Sign in with")
	for _, target := range []string{"/gallery/signin", "/gallery/callback?code=c&state=s"} {
		answer := r.do(t, http.MethodGet, target, "")
		sees(t, http.StatusSeeOther, answer, target)
		assert.True(t, strings.HasPrefix(answer.Header.Get("Location"), "/gallery/login"))
		assert.Empty(t, r.cookies)
	}
}
