package gallery_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web/gallery"
)

func parseURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// Without a session there is nothing to see but the page on which users sign in.
func TestGallery_SignIn(t *testing.T) {
	r := newRig(t, withTokens(t))
	i := r.save(t, of("alice"))
	for target, want := range map[string]string{
		"/gallery/":               "/gallery/login",
		"/gallery/" + i.ID:        "/gallery/login?to=%2Fgallery%2F" + i.ID,
		"/gallery/spending":       "/gallery/login?to=%2Fgallery%2Fspending",
		"/gallery/?q=a+fox&date=": "/gallery/login?to=%2Fgallery%2F%3Fq%3Da%2Bfox%26date%3D",
	} {
		answer := r.do(t, http.MethodGet, target, "")
		sees(t, http.StatusSeeOther, answer, target)
		assert.Equal(t, want, answer.Header.Get("Location"))
	}
	for _, name := range []string{i.ID, i.ID + ".png", i.ID + "/preview", i.ID + "/exports/png.png"} {
		sees(t, http.StatusUnauthorized, r.do(t, http.MethodGet, "/gallery/images/"+name, ""), name)
	}
	sees(t, http.StatusUnauthorized, r.do(t, http.MethodPost, "/gallery/"+i.ID+"/delete", ""), "delete")
	form := r.get(t, "/gallery/login?to=/gallery/"+i.ID)
	assert.NotContains(t, form.body, "alice")
	sees(t, http.StatusUnauthorized, r.do(t, http.MethodPost, "/gallery/login", "token=wrong-wrong-wrong-wrong"), "wrong token")
	assert.Empty(t, r.cookies)
	answer := r.do(t, http.MethodPost, "/gallery/login", url.Values{"token": {" " + aliceToken + "\n"}, "to": {"/gallery/" + i.ID}}.Encode())
	sees(t, http.StatusSeeOther, answer, "right token")
	assert.Equal(t, "/gallery/"+i.ID, answer.Header.Get("Location"))
	assert.Contains(t, r.get(t, "/gallery/"+i.ID).body, "alice")
	sees(t, http.StatusSeeOther, r.do(t, http.MethodPost, "/gallery/logout", ""), "logout")
	assert.Empty(t, r.cookies)
	assert.NotContains(t, r.log.String(), aliceToken)
}

// Where nobody signs in, there is no page for it.
func TestGallery_Open(t *testing.T) {
	r := newRig(t, nil)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		assert.NotEqual(t, http.StatusOK, r.do(t, method, "/gallery/login", "").StatusCode)
		assert.Empty(t, r.cookies)
	}
	assert.NotContains(t, r.get(t, "/gallery/").body, "logout")
}

func TestGallery_Cookie(t *testing.T) {
	for public, want := range map[string]string{
		"":                               "zai_gallery_8787 /gallery/ false",
		"http://images.internal":         "zai_gallery /gallery/ false",
		"http://images.internal/zai/":    "zai_gallery /zai/gallery/ false",
		"https://images.example.com":     "__Host-zai_gallery / true",
		"https://x.example/a/gallery":    "__Host-zai_gallery / true",
		"http://x.example//evil.example": "zai_gallery /evil.example/gallery/ false",
	} {
		r := newRig(t, func(c *gallery.Config) {
			withTokens(t)(c)
			if public != "" {
				c.PublicURL = parseURL(t, public)
			}
		})
		answer := r.do(t, http.MethodPost, "/gallery/login", "token="+aliceToken)
		require.Len(t, answer.Cookies(), 1, public)
		c := answer.Cookies()[0]
		assert.Equal(t, want, fmt.Sprint(c.Name, " ", c.Path, " ", c.Secure))
		assert.True(t, c.HttpOnly)
		assert.Equal(t, http.SameSiteLaxMode, c.SameSite)
		assert.Empty(t, c.Domain)
		assert.WithinDuration(t, r.now.Add(30*24*time.Hour), c.Expires, time.Second)
		assert.NotContains(t, c.Value, "alice")
		assert.False(t, strings.HasPrefix(answer.Header.Get("Location"), "//"))
	}
}

// A session outlives the process, is valid on every replica, and ends after 30 days or
// with its token.
func TestGallery_SessionLife(t *testing.T) {
	path := testrig.TokenFile(t, "alice:"+aliceToken)
	tokens, err := auth.LoadTokenFile(path)
	require.NoError(t, err)
	r := newRig(t, func(c *gallery.Config) { c.Auth, c.Open = tokens, false })
	r.signIn(t, aliceToken)
	other := newRigOf(t, r.library, func(c *gallery.Config) { c.Auth, c.Open = tokens, false })
	other.cookies = r.cookies
	other.get(t, "/gallery/")
	start := r.now
	r.now = start.Add(30*24*time.Hour - time.Second)
	r.get(t, "/gallery/")
	r.now = start.Add(30 * 24 * time.Hour)
	sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "30 days later")
	r.now = start
	r.get(t, "/gallery/")
	require.NoError(t, os.WriteFile(path, []byte("bob:"+aliceToken), 0o600))
	_, err = tokens.Reload(true)
	require.NoError(t, err)
	sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "the token is another owner's now")
	require.NoError(t, os.WriteFile(path, []byte("alice:another-0123456789abcdef"), 0o600))
	_, err = tokens.Reload(true)
	require.NoError(t, err)
	sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "the token was removed")
	elsewhere := newRig(t, func(c *gallery.Config) { c.Auth, c.Open = tokens, false })
	elsewhere.signIn(t, "another-0123456789abcdef")
	r.cookies = elsewhere.cookies
	sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "the session of another library")
}

// No changed, cut or composed cookie is valid.
func TestGallery_ForgedCookie(t *testing.T) {
	r := newRig(t, withTokens(t))
	r.signIn(t, aliceToken)
	name, value := r.cookies[0].Name, r.cookies[0].Value
	for n := range len(value) {
		other := byte('A')
		if value[n] == other {
			other = 'B'
		}
		r.cookies = []*http.Cookie{{Name: name, Value: value[:n] + string(other) + value[n+1:]}}
		sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "a changed character")
		r.cookies = []*http.Cookie{{Name: name, Value: value[:n]}}
		sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "a part")
	}
	r.cookies = []*http.Cookie{{Name: name, Value: "planted"}, {Name: name, Value: value}}
	r.get(t, "/gallery/")
	r.cookies = []*http.Cookie{{Name: "zai_gallery_1", Value: value}}
	sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "the cookie of another port")
}

// Only what the server sealed is a session.
func FuzzGallery_Cookie(f *testing.F) {
	r := newRig(f, withTokens(f))
	r.signIn(f, aliceToken)
	name, value := r.cookies[0].Name, r.cookies[0].Value
	for _, seed := range []string{"", value, value[1:], value + "A", strings.Repeat("A", 5000), "e30", "\x00", `{"owner":"alice"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, forged string) {
		r.cookies = nil
		answer := r.do(t, http.MethodGet, "/gallery/", "", "Cookie", name+"="+forged)
		if answer.StatusCode == http.StatusOK {
			c := (&http.Request{Header: http.Header{"Cookie": {name + "=" + forged}}}).CookiesNamed(name)
			require.NotEmpty(t, c)
			assert.Equal(t, value, c[0].Value)
			return
		}
		assert.Equal(t, http.StatusSeeOther, answer.StatusCode)
	})
}

// fakeAuth authenticates one token.
type fakeAuth struct {
	principal auth.Principal
	err       error
	valid     bool
}

func (f *fakeAuth) Authenticate(r *http.Request) (auth.Principal, error) {
	if r.Header.Get("Authorization") != "Bearer "+aliceToken {
		return auth.Principal{}, auth.ErrNoPrincipal
	}
	return f.principal, f.err
}
func (f *fakeAuth) Valid(auth.Principal) bool { return f.valid }

// The session of a principal that expires ends with it.
func TestGallery_PrincipalExpires(t *testing.T) {
	now := time.Now()
	f := &fakeAuth{auth.Principal{Owner: "id.example.com/1", Credential: "c", Expires: now.Add(time.Hour)}, nil, true}
	r := newRig(t, func(c *gallery.Config) { c.Auth, c.Open = f, false })
	r.now = now
	r.signIn(t, aliceToken)
	r.get(t, "/gallery/")
	r.now = now.Add(time.Hour)
	sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "expired")
	sees(t, http.StatusUnauthorized, r.do(t, http.MethodPost, "/gallery/login", "token="+aliceToken), "an expired token")
	r.now, f.valid = now, false
	sees(t, http.StatusSeeOther, r.do(t, http.MethodGet, "/gallery/", ""), "no longer valid")
}

// A principal that may not generate images may not delete them either.
func TestGallery_ReadOnly(t *testing.T) {
	f := &fakeAuth{auth.Principal{Owner: "alice", Credential: "c", ReadOnly: true}, nil, true}
	r := newRig(t, func(c *gallery.Config) { c.Auth, c.Open = f, false })
	i := r.save(t, of("alice"))
	r.signIn(t, aliceToken)
	assert.NotContains(t, r.get(t, "/gallery/"+i.ID).body, "/delete")
	sees(t, http.StatusForbidden, r.do(t, http.MethodPost, "/gallery/"+i.ID+"/delete", ""), "delete")
	r.get(t, "/gallery/"+i.ID)
}

// A sign-in that fails says why.
func TestGallery_LoginErrors(t *testing.T) {
	f := &fakeAuth{valid: true}
	r := newRig(t, func(c *gallery.Config) { c.Auth, c.Open = f, false })
	for _, tt := range []struct {
		err    error
		status int
		text   string
	}{
		{auth.ErrNoPrincipal, http.StatusUnauthorized, "This token is not valid."},
		{&auth.TokenError{Reason: "the token has expired"}, http.StatusUnauthorized, "the token has expired."},
		{&auth.ScopeError{Scope: "images:read"}, http.StatusForbidden, "lacks the scope images:read."},
		{&auth.ForbiddenError{Reason: "its owner is <refused>"}, http.StatusForbidden, "its owner is &lt;refused&gt;."},
		{fmt.Errorf("fetching: %w", auth.ErrUnavailable), http.StatusServiceUnavailable, "cannot be checked now"},
		{errors.New("not foreseen"), http.StatusServiceUnavailable, "cannot be checked now"},
	} {
		f.err = tt.err
		answer := r.do(t, http.MethodPost, "/gallery/login", "to=/gallery/spending&token="+aliceToken)
		sees(t, tt.status, answer, tt.text)
		assert.Contains(t, answer.body, tt.text)
		assert.Contains(t, answer.body, `value="/gallery/spending"`)
		assert.Equal(t, tt.status == http.StatusServiceUnavailable, answer.Header.Get("Retry-After") != "")
		assert.NotContains(t, answer.body, aliceToken)
		assert.Empty(t, r.cookies)
	}
}

// A public address can try a few tokens in quick succession, or all addresses of an IPv6
// network together. Others are not affected, nor are users behind a proxy.
func TestGallery_LoginAttempts(t *testing.T) {
	r := newRig(t, withTokens(t))
	attempt := func(remote, token string) int {
		request := httptest.NewRequest(http.MethodPost, "/gallery/login", strings.NewReader("token="+token))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.RemoteAddr = remote
		w := httptest.NewRecorder()
		r.ServeHTTP(w, request)
		return w.Code
	}
	const wrong = "wrong-wrong-wrong-wrong"
	for n := range 10 {
		require.Equal(t, http.StatusUnauthorized, attempt(fmt.Sprintf("192.0.2.1:%d", n), wrong))
		require.Equal(t, http.StatusUnauthorized, attempt(fmt.Sprintf("[2001:db8::%d]:1", n), wrong))
	}
	for _, same := range []string{"192.0.2.1:99", "[::ffff:192.0.2.1]:1", "[2001:db8::ffff]:1"} {
		assert.Equal(t, http.StatusTooManyRequests, attempt(same, wrong), same)
		assert.Equal(t, http.StatusTooManyRequests, attempt(same, aliceToken), same)
	}
	for _, other := range []string{"192.0.2.2:1", "[2001:db8:0:1::1]:1"} {
		assert.Equal(t, http.StatusSeeOther, attempt(other, aliceToken), other)
	}
	for _, proxy := range []string{"127.0.0.1:1", "[::1]:1", "10.1.2.3:1", "[fd00::1]:1", "[fe80::1%eth0]:1"} {
		for range 11 {
			assert.Equal(t, http.StatusUnauthorized, attempt(proxy, wrong), proxy)
		}
	}
	r.now = r.now.Add(11 * time.Second)
	assert.Equal(t, http.StatusSeeOther, attempt("192.0.2.1:1", aliceToken))
}

// After a sign-in the browser stays on pages of the gallery.
func TestGallery_Target(t *testing.T) {
	r := newRig(t, func(c *gallery.Config) { withTokens(t)(c); c.PublicURL = parseURL(t, "https://x.example/zai") })
	for to, want := range map[string]string{
		"":                                 "/zai/gallery/",
		"/zai/gallery/spending":            "/zai/gallery/spending",
		"/zai/gallery/?q=a+fox":            "/zai/gallery/?q=a+fox",
		"//evil":                           "/zai/gallery/",
		"//evil/zai/gallery/":              "/zai/gallery/",
		"https://evil/zai/gallery/":        "/zai/gallery/",
		`/\evil`:                           "/zai/gallery/",
		`/zai/gallery/\evil`:               "/zai/gallery/",
		"/zai/gallery/..//evil":            "/zai/gallery/",
		"/zai/gallery/%2e%2e/%2fevil":      "/zai/gallery/",
		"/zai/gallery//evil":               "/zai/gallery/",
		"/zai/gallery/\r\nSet-Cookie: x=y": "/zai/gallery/",
		"javascript:alert(1)":              "/zai/gallery/",
		"/mcp":                             "/zai/gallery/",
		"zai/gallery/":                     "/zai/gallery/",
		"/zai/gallery/?q=%0d%0aX:y":        "/zai/gallery/?q=%0D%0AX%3Ay",
		"\t//evil":                         "/zai/gallery/",
	} {
		answer := r.do(t, http.MethodPost, "/gallery/login", url.Values{"token": {aliceToken}, "to": {to}}.Encode())
		sees(t, http.StatusSeeOther, answer, to)
		assert.Equal(t, want, answer.Header.Get("Location"), to)
		r.now = r.now.Add(time.Minute)
	}
}

// Nobody sees the images of another owner, or learns that they exist.
func TestGallery_Owners(t *testing.T) {
	r := newRig(t, withTokens(t))
	i, own := r.save(t, of("alice")), r.save(t, of("bob"))
	r.signIn(t, bobToken)
	assert.Equal(t, []string{own.ID}, shown(t, r.get(t, "/gallery/").body))
	absent, err := r.library.NewID()
	require.NoError(t, err)
	for _, id := range []string{i.ID, absent} {
		for _, target := range []string{"/gallery/ID", "/gallery/ID/export?format=png", "/gallery/images/ID", "/gallery/images/ID.png", "/gallery/images/ID/preview", "/gallery/images/ID/exports/png.png"} {
			sees(t, http.StatusNotFound, r.do(t, http.MethodGet, strings.Replace(target, "ID", id, 1), ""), target)
		}
		sees(t, http.StatusNotFound, r.do(t, http.MethodPost, "/gallery/"+id+"/delete", ""), "delete")
	}
	page := r.get(t, "/gallery/"+own.ID).body
	assert.NotContains(t, page, i.ID)
	assert.Contains(t, r.get(t, "/gallery/spending").body, "$0.01")
	assert.NotContains(t, r.get(t, "/gallery/spending").body, "$0.02")
	_, err = r.library.Image(t.Context(), "alice", i.ID)
	require.NoError(t, err, "it is still there")
}

// A form is small and declared as one.
func TestGallery_Forms(t *testing.T) {
	r := newRig(t, nil)
	i := r.save(t, nil)
	target := "/gallery/" + i.ID + "/delete"
	sees(t, http.StatusRequestEntityTooLarge, r.do(t, http.MethodPost, target, strings.Repeat("x", gallery.MaxForm+1)), "large")
	for _, mediaType := range []string{"", "text/plain", "application/json", "multipart/form-data; boundary=x"} {
		sees(t, http.StatusUnsupportedMediaType, r.do(t, http.MethodPost, target, "", "Content-Type", mediaType), mediaType)
	}
	r.get(t, "/gallery/"+i.ID)
}

// Every response has the strict headers.
func TestGallery_Headers(t *testing.T) {
	r := newRig(t, nil)
	i := r.save(t, nil)
	for _, target := range []string{"/gallery/", "/gallery/spending", "/gallery/" + i.ID, "/gallery/nothing", "/gallery/?before=x", "/gallery/a/b/c", "/gallery/assets/nothing"} {
		h := r.do(t, http.MethodGet, target, "").Header
		assert.Equal(t, "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'", h.Get("Content-Security-Policy"), target)
		assert.Equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"))
		assert.Equal(t, "same-origin", h.Get("Cross-Origin-Resource-Policy"))
		assert.Equal(t, "same-origin", h.Get("Referrer-Policy"))
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		assert.Equal(t, "private, no-cache", h.Get("Cache-Control"))
	}
	style := attribute(nodes(t, r.get(t, "/gallery/").body, "link")[0], "href")
	assert.Equal(t, "public, max-age=31536000, immutable", r.get(t, style).Header.Get("Cache-Control"))
	name, _, _ := strings.Cut(style, "?")
	assert.Equal(t, "no-cache", r.get(t, name+"?old").Header.Get("Cache-Control"))
}
