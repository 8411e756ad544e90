package web_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
	"zai-image-mcp/internal/web/gallery"
	"zai-image-mcp/resources"
)

// newGalleryRig returns a server with the gallery of a new library.
func newGalleryRig(t testing.TB, c web.ListenConfig) (*rig, *resources.Library) {
	t.Helper()
	l := testrig.Library(t)
	return newRigWithLinks(t, c, resources.NewLinks(l, "", time.Hour), func(c *web.Config) { c.Library = l }), l
}

const formType = "application/x-www-form-urlencoded"

// Users come to the gallery by links on other pages. Other pages get nothing else from it.
func TestGallery_ForeignPages(t *testing.T) {
	r, l := newGalleryRig(t, web.ListenConfig{})
	i := saveImage(t, l, "local")
	page := "/gallery/" + i.ID
	fetch := func(site, mode, dest string) []string {
		return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", mode, "Sec-Fetch-Dest", dest}
	}
	for _, site := range []string{"cross-site", "same-site"} { // the latter is also another port
		for _, tt := range []struct {
			name, method, path string
			headers            []string
			want               int
		}{
			{"link", http.MethodGet, page, fetch(site, "navigate", "document"), http.StatusOK},
			{"link to the list", http.MethodGet, "/gallery/", fetch(site, "navigate", "document"), http.StatusOK},
			{"link without slash", http.MethodGet, "/gallery", fetch(site, "navigate", "document"), http.StatusSeeOther},
			{"link to the server", http.MethodGet, "/", fetch(site, "navigate", "document"), http.StatusSeeOther},
			{"frame", http.MethodGet, page, fetch(site, "navigate", "iframe"), http.StatusForbidden},
			{"object", http.MethodGet, page, fetch(site, "navigate", "object"), http.StatusForbidden},
			{"embed", http.MethodGet, page, fetch(site, "navigate", "embed"), http.StatusForbidden},
			{"fetch", http.MethodGet, page, fetch(site, "cors", "empty"), http.StatusForbidden},
			{"fetch of a document", http.MethodGet, page, fetch(site, "cors", "document"), http.StatusForbidden},
			{"blind fetch", http.MethodGet, page, fetch(site, "no-cors", "empty"), http.StatusForbidden},
			{"script", http.MethodGet, page, fetch(site, "no-cors", "script"), http.StatusForbidden},
			{"image", http.MethodGet, "/gallery/images/" + i.ID, fetch(site, "no-cors", "image"), http.StatusForbidden},
			{"preview", http.MethodGet, "/gallery/images/" + i.ID + "/preview", fetch(site, "no-cors", "image"), http.StatusForbidden},
			{"style", http.MethodGet, "/gallery/assets/gallery.css", fetch(site, "no-cors", "style"), http.StatusForbidden},
			{"fetch with Origin", http.MethodGet, page, append(fetch(site, "cors", "empty"), "Origin", "http://evil.example"), http.StatusForbidden},
			{"HEAD", http.MethodHead, page, fetch(site, "navigate", "document"), http.StatusForbidden},
			{"link to elsewhere", http.MethodGet, "/metrics", fetch(site, "navigate", "document"), http.StatusForbidden},
			{"link to similar", http.MethodGet, "/gallery.html", fetch(site, "navigate", "document"), http.StatusForbidden},
			{"form", http.MethodPost, page + "/delete", append(fetch(site, "navigate", "document"), "Origin", "http://evil.example", "Content-Type", formType), http.StatusForbidden},
			{"form without Origin", http.MethodPost, page + "/delete", append(fetch(site, "navigate", "document"), "Content-Type", formType), http.StatusForbidden},
			{"rebound Host", http.MethodGet, page, append(fetch(site, "navigate", "document"), "Host", "evil.example"), http.StatusForbidden},
		} {
			response := r.do(t, tt.method, tt.path, "", tt.headers...)
			assert.Equal(t, tt.want, response.StatusCode, "%s from %s", tt.name, site)
		}
	}
	_, err := l.Image(t.Context(), "local", i.ID)
	require.NoError(t, err)
}

// Only pages of the server itself send forms, not those that may use the MCP server.
func TestGallery_FormOrigin(t *testing.T) {
	r, l := newGalleryRig(t, web.ListenConfig{PublicURL: "https://images.example.com", AllowOrigins: []string{"https://app.example.com"}})
	port := strconv.Itoa(r.addr.Port)
	for origin, want := range map[string]int{
		"": 403, "null": 403, "https://app.example.com": 403, "https://evil.example": 403, "http://127.0.0.1:1": 403, "http://images.example.com": 403,
		"http://127.0.0.1:" + port: 303, "http://localhost:" + port: 303, "https://images.example.com": 303,
	} {
		i := saveImage(t, l, "local")
		headers := []string{"Content-Type", formType}
		if origin != "" {
			headers = append(headers, "Origin", origin)
		}
		response := r.do(t, http.MethodPost, "/gallery/"+i.ID+"/delete", "", headers...)
		assert.Equal(t, want, response.StatusCode, origin)
		_, err := l.Image(t.Context(), "local", i.ID)
		assert.Equal(t, want == 303, err != nil, origin)
	}
	own := "http://127.0.0.1:" + port
	status, _ := r.ask(t, http.MethodPost, "/gallery/x/delete", "{}", "Origin", own)
	assert.Equal(t, http.StatusUnsupportedMediaType, status, "JSON")
	status, _ = r.ask(t, http.MethodPost, "/gallery/x/delete", strings.Repeat("x", gallery.MaxForm+1), "Origin", own, "Content-Type", formType)
	assert.Equal(t, http.StatusRequestEntityTooLarge, status)
	status, _ = r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, "Origin", own, "Content-Type", formType)
	assert.Equal(t, http.StatusUnsupportedMediaType, status, "forms are for the gallery alone")
	status, _ = r.ask(t, http.MethodOptions, "/gallery/", "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST")
	assert.Equal(t, http.StatusForbidden, status, "preflight")
}

// The session of the gallery opens nothing else, and a token in a header does not open the
// gallery.
func TestGallery_CookieOpensNothingElse(t *testing.T) {
	r, l := newGalleryRig(t, web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken)})
	i := saveImage(t, l, "alice")
	cookie := r.signIn(t, aliceToken)
	for path, want := range map[string]int{
		"/gallery/": 200, "/gallery/" + i.ID: 200, "/gallery/images/" + i.ID: 200, "/metrics": 401, "/images/" + i.ID: 401, "/images/" + i.ID + "/preview": 401, "/readyz": 401, "/sse": 401,
	} {
		status, _ := r.ask(t, http.MethodGet, path, "", "Cookie", cookie)
		assert.Equal(t, want, status, path)
	}
	status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, "Cookie", cookie)
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Zero(t, r.app.requests.Load())
	status, _ = r.ask(t, http.MethodGet, "/gallery/"+i.ID, "", bearer(cookie[strings.Index(cookie, "=")+1:])...)
	assert.Equal(t, http.StatusSeeOther, status)
	for _, path := range []string{"/", "/gallery"} {
		response := r.do(t, http.MethodGet, path, "")
		assert.Equal(t, http.StatusSeeOther, response.StatusCode, "for strangers too")
		assert.Equal(t, "/gallery/", response.Header.Get("Location"))
	}
}

// signIn signs in to the gallery and returns the cookie of the session.
func (r *rig) signIn(t *testing.T, token string) string {
	t.Helper()
	response := r.postForm(t, "/gallery/login", url.Values{"token": {token}})
	require.Equal(t, http.StatusSeeOther, response.StatusCode)
	require.Len(t, response.Cookies(), 1)
	return response.Cookies()[0].Name + "=" + response.Cookies()[0].Value
}

// postForm sends a form as a page of the server does.
func (r *rig) postForm(t *testing.T, path string, form url.Values, headers ...string) *http.Response {
	t.Helper()
	own := "http://127.0.0.1:" + strconv.Itoa(r.addr.Port)
	return r.do(t, http.MethodPost, path, form.Encode(), append(headers, "Origin", own, "Content-Type", formType)...)
}

// An owner of the issuer and one of the token file with the same name see nothing of each
// other in the gallery.
func TestGallery_SameName(t *testing.T) {
	issuer := testrig.NewIssuer(t)
	issuer.Audience = publicURL + "/mcp"
	r, l := newGalleryRig(t, web.ListenConfig{
		PublicURL: publicURL, AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken), Issuer: issuerConfig(t, issuer),
	})
	_, host, _ := strings.Cut(issuer.URL, "://")
	images := map[string]resources.Image{"alice": saveImage(t, l, "alice"), host + "/alice": saveImage(t, l, host+"/alice")}
	for owner, token := range map[string]string{"alice": aliceToken, host + "/alice": issuer.Token("alice", with(bothScopes))} {
		cookie := []string{"Cookie", r.signIn(t, token)}
		for of, i := range images {
			_, list := r.ask(t, http.MethodGet, "/gallery/", "", cookie...)
			assert.Equal(t, owner == of, strings.Contains(list, i.ID), "%s sees the image of %s", owner, of)
			want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[owner == of]
			file := "/gallery/images/" + i.ID
			for _, path := range []string{"/gallery/" + i.ID, file, file + "/preview", file + "/exports/webp-20x10-cover.webp"} {
				status, _ := r.ask(t, http.MethodGet, path, "", cookie...)
				assert.Equal(t, want, status, "%s of %s by %s", path, of, owner)
			}
			if owner != of {
				assert.Equal(t, http.StatusNotFound, r.postForm(t, "/gallery/"+i.ID+"/delete", nil, cookie...).StatusCode)
				_, err := l.Image(t.Context(), of, i.ID)
				require.NoError(t, err)
			}
		}
		_, page := r.ask(t, http.MethodGet, "/gallery/spending", "", cookie...)
		assert.Contains(t, page, owner)
	}
}

// The sessions of an owner who is refused end at once. What a signed link shows was given
// away before.
func TestGallery_RefusedOwner(t *testing.T) {
	issuer := testrig.NewIssuer(t)
	issuer.Audience = publicURL + "/mcp"
	_, host, _ := strings.Cut(issuer.URL, "://")
	owner := host + "/leaver"
	l := testrig.Library(t)
	links := resources.NewLinks(l, "", time.Hour)
	var refused atomic.Bool
	r := newRigWithLinks(t, web.ListenConfig{PublicURL: publicURL, Issuer: issuerConfig(t, issuer)}, links, func(c *web.Config) {
		c.Library, c.Refused = l, func(o string) bool { return o == owner && refused.Load() }
	})
	i := saveImage(t, l, owner)
	link, _, err := links.URL(t.Context(), i)
	require.NoError(t, err)
	token := issuer.Token("leaver", with(bothScopes))
	cookie := []string{"Cookie", r.signIn(t, token)}
	pages := map[string]int{"/gallery/": 303, "/gallery/spending": 303, "/gallery/" + i.ID: 303, "/gallery/images/" + i.ID: 401, "/gallery/images/" + i.ID + "/preview": 401}
	for path := range pages {
		status, _ := r.ask(t, http.MethodGet, path, "", cookie...)
		assert.Equal(t, http.StatusOK, status, path)
	}
	refused.Store(true)
	for path, want := range pages {
		status, text := r.ask(t, http.MethodGet, path, "", append(bearer(token), cookie...)...)
		assert.Equal(t, want, status, path)
		assert.NotContains(t, text, i.ID)
	}
	assert.Equal(t, http.StatusUnauthorized, r.postForm(t, "/gallery/"+i.ID+"/delete", nil, cookie...).StatusCode)
	response := r.postForm(t, "/gallery/login", url.Values{"token": {token}})
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	assert.Empty(t, response.Cookies())
	status, _ := r.ask(t, http.MethodGet, "/images/"+i.ID, "", bearer(token)...)
	assert.Equal(t, http.StatusForbidden, status)
	for _, headers := range [][]string{nil, bearer(token)} {
		status, _ = r.ask(t, http.MethodGet, link, "", headers...)
		assert.Equal(t, http.StatusOK, status)
	}
	_, err = l.Image(t.Context(), owner, i.ID)
	require.NoError(t, err)
}

// A proxy may remove the path of the public URL or not, also if that ends in /gallery.
func TestGallery_PathOfThePublicURL(t *testing.T) {
	for public, base := range map[string]string{"https://x.example": "", "https://x.example/zai/": "/zai", "https://x.example/gallery": "/gallery", "https://x.example/a/gallery/": "/a/gallery"} {
		r, l := newGalleryRig(t, web.ListenConfig{PublicURL: public})
		i := saveImage(t, l, "local")
		link, _, err := resources.NewLinks(l, base, time.Hour).URL(t.Context(), i)
		require.NoError(t, err)
		for _, kept := range []string{base, ""} { // what the proxy leaves
			for path, want := range map[string]int{
				"/gallery/": 200, "/gallery/" + i.ID: 200, "/gallery/images/" + i.ID + ".png": 200, "/gallery/images/" + i.ID + "/preview": 200, "/gallery/spending": 200,
				"/healthz": 200, strings.TrimPrefix(link, base): 200, "/gallery": 303,
			} {
				response := r.do(t, http.MethodGet, kept+path, "")
				assert.Equal(t, want, response.StatusCode, "%s%s for %s", kept, path, public)
				if want == 303 {
					assert.Equal(t, base+"/gallery/", response.Header.Get("Location"))
				}
			}
			_, page := r.ask(t, http.MethodGet, kept+"/gallery/", "")
			assert.Contains(t, page, `"`+base+"/gallery/"+i.ID+`"`)
			assert.Contains(t, page, `"`+base+"/gallery/images/"+i.ID+`/preview"`)
			status, _ := r.ask(t, http.MethodPost, kept+"/mcp", testrig.Initialize)
			assert.Equal(t, 200, status, kept+"/mcp")
		}
		if base != "/gallery" { // there it is the first page, if the proxy removed the path
			assert.Equal(t, base+"/gallery/", r.do(t, http.MethodGet, base+"/", "").Header.Get("Location"))
		}
		if base != "" {
			want := http.StatusSeeOther
			assert.Equal(t, want, r.do(t, http.MethodGet, base, "").StatusCode, base)
		}
	}
}

// The server of the command gallery serves nothing but the gallery, on this machine only.
func TestServeGallery(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "example.com:0", "192.0.2.1:0"} {
		_, err := web.ListenLocally(t.Context(), address)
		setting := &web.ConfigError{}
		require.ErrorAs(t, err, &setting, address)
	}
	listener, err := web.ListenLocally(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	l := testrig.Library(t)
	i := saveImage(t, l, "local")
	c := web.LocalGallery{Listener: listener, Library: l, Owner: "local", Key: "KEY", Now: time.Now, Log: newRig(t, web.ListenConfig{}).Log}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- web.ServeGallery(ctx, c) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var cookies []*http.Cookie
	get := func(address string, headers ...string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		require.NoError(t, err)
		for n := 0; n < len(headers); n += 2 {
			if request.Header.Set(headers[n], headers[n+1]); headers[n] == "Host" {
				request.Host = headers[n+1]
			}
		}
		for _, c := range cookies {
			request.AddCookie(c)
		}
		response, err := client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		if set := response.Cookies(); len(set) > 0 {
			cookies = set
		}
		return response.StatusCode
	}
	base := "http://" + listener.Addr().String()
	assert.Equal(t, 303, get(base+"/gallery/"))
	assert.Equal(t, 403, get(c.Address(), "Host", "evil.example"), "the key is still good")
	assert.Equal(t, 303, get(c.Address()))
	require.Len(t, cookies, 1)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	assert.Contains(t, cookies[0].Name, port)
	for path, want := range map[string]int{
		"/gallery/" + i.ID: 200, "/gallery/images/" + i.ID + "/preview": 200, "/": 303, "/mcp": 404, "/healthz": 404, "/metrics": 404, "/images/" + i.ID: 404,
	} {
		assert.Equal(t, want, get(base+path), path)
	}
	assert.Equal(t, 403, get(base+"/gallery/", "Host", "evil.example"))
	assert.Equal(t, 403, get(base+"/gallery/", "Origin", "http://evil.example"))
	cookies = nil
	assert.Equal(t, 403, get(c.Address()), "used")
	stop()
	require.NoError(t, <-ended)
}
