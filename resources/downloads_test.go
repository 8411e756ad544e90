package resources_test

import (
	"context"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// download is a response and its body.
type download struct {
	*httptest.ResponseRecorder
	body string
}

// downloads serves a library whose clock the test controls.
type downloads struct {
	library *resources.Library
	links   *resources.Links
	now     *time.Time
	owner   string // authenticated owner; "" without authentication
}

func newDownloads(t *testing.T, folder string) *downloads {
	t.Helper()
	now := time.Now()
	l := newLibrary(libraryOptions{Folder: folder, Now: func() time.Time { return now }, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return &downloads{library: l, now: &now, links: resources.NewLinks(l, "http://x.example", time.Hour)}
}

func (d *downloads) get(t *testing.T, method, link string, headers ...string) download {
	t.Helper()
	handler := &resources.Downloads{Links: d.links, Owner: func(context.Context) (string, bool) { return d.owner, d.owner != "" }}
	r := httptest.NewRequest(method, strings.TrimPrefix(link, "http://x.example"), nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	policy := "same-origin"
	if w.Code < 400 && strings.Contains(link, "sig=") || w.Code == http.StatusRequestedRangeNotSatisfiable {
		policy = "cross-origin" // any page may show an image requested with a link, but not one requested with a token
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox",
		"Cross-Origin-Resource-Policy": policy, "Referrer-Policy": "no-referrer",
	} {
		assert.Equal(t, want, w.Header().Get(name), "on every response")
	}
	return download{w, string(body)}
}

func (d *downloads) link(t *testing.T, i resources.Image) string {
	t.Helper()
	link, expires, err := d.links.URL(t.Context(), i)
	require.NoError(t, err)
	assert.WithinDuration(t, d.now.Add(time.Hour), expires, time.Second)
	return link
}

// Pages of other origins may show only images that were requested with a signed
// link.
func TestDownloads_CrossOriginPolicy(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i := save(t, d.library, "a fox", []byte("\x89PNG 0123456789"))
	link := d.link(t, i)
	unsigned, _, _ := strings.Cut(link, "?")
	policy := func(link string) (status int, value string) {
		got := d.get(t, "GET", link)
		return got.Code, got.Header().Get("Cross-Origin-Resource-Policy")
	}
	for _, tt := range []struct {
		link, owner, policy string
		status              int
	}{
		{link, "", "cross-origin", 200},
		{link, i.Owner, "cross-origin", 200},
		{unsigned, i.Owner, "same-origin", 200},
		{unsigned, "", "same-origin", 403},
		{link + "x", i.Owner, "same-origin", 403},
		{unsigned + "?sig=x", i.Owner, "same-origin", 403},
	} {
		d.owner = tt.owner
		status, value := policy(tt.link)
		assert.Equal(t, tt.status, status, tt)
		assert.Equal(t, tt.policy, value, tt)
	}
}

// A download has the documented headers and supports ranges, conditional requests,
// and only GET and HEAD.
func TestDownloads(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	// A file that looks like HTML still has the image type that was recorded.
	file := "\x89PNG <script>alert(1)</script> 0123456789"
	i := save(t, d.library, "Ein süßes Kätzchen", []byte(file))
	link := d.link(t, i)
	assert.True(t, strings.HasPrefix(link, "http://x.example/images/"+i.ID+".png?exp="), link)
	got := d.get(t, "GET", link)
	assert.Equal(t, 200, got.Code)
	assert.Equal(t, file, got.body)
	assert.Equal(t, "image/png", got.Header().Get("Content-Type"))
	assert.Equal(t, `"`+i.SHA256+`"`, got.Header().Get("ETag"))
	assert.Contains(t, got.Header().Get("Cache-Control"), "private")
	assert.Contains(t, got.Header().Get("Cache-Control"), "immutable")
	kind, parameters, err := mime.ParseMediaType(got.Header().Get("Content-Disposition"))
	require.NoError(t, err)
	assert.Equal(t, "inline", kind)
	assert.Equal(t, path.Base(i.Path), parameters["filename"])
	kind, _, _ = mime.ParseMediaType(d.get(t, "GET", link+"&download=1").Header().Get("Content-Disposition"))
	assert.Equal(t, "attachment", kind)

	got = d.get(t, "HEAD", link)
	assert.Equal(t, 200, got.Code)
	assert.Empty(t, got.body)
	assert.Equal(t, strconv.Itoa(len(file)), got.Header().Get("Content-Length"))
	got = d.get(t, "GET", link, "Range", "bytes=1-3")
	assert.Equal(t, http.StatusPartialContent, got.Code)
	assert.Equal(t, "PNG", got.body)
	assert.Equal(t, http.StatusRequestedRangeNotSatisfiable, d.get(t, "GET", link, "Range", "bytes=1000-").Code)
	assert.Equal(t, http.StatusNotModified, d.get(t, "GET", link, "If-None-Match", `"`+i.SHA256+`"`).Code)
	assert.Equal(t, 200, d.get(t, "GET", link, "If-None-Match", `"other"`).Code)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		got = d.get(t, method, link)
		assert.Equal(t, http.StatusMethodNotAllowed, got.Code)
		assert.Equal(t, "GET, HEAD", got.Header().Get("Allow"))
	}
}

// Both forms of a preview's path serve the preview.
func TestDownloads_Preview(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i := save(t, d.library, "x", testrig.PNGPhoto(t, 800, 600))
	link := d.link(t, i)
	for _, at := range []string{strings.Replace(link, ".png?", "/preview?", 1), strings.Replace(link, ".png?", ".png/preview?", 1)} {
		got := d.get(t, "GET", at)
		assert.Equal(t, 200, got.Code)
		assert.Equal(t, "image/jpeg", got.Header().Get("Content-Type"))
		assert.True(t, strings.HasPrefix(got.body, "\xff\xd8\xff"))
		assert.Contains(t, got.Header().Get("Content-Disposition"), ".jpg")
		assert.Equal(t, http.StatusNotModified, d.get(t, "GET", at, "If-None-Match", got.Header().Get("ETag")).Code)
	}
}

// A link is valid only for the signed image and until the signed expiry time.
func TestLinks_Invalid(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i, other := save(t, d.library, "x", []byte("PIXELS")), save(t, d.library, "y", []byte("two"))
	link := d.link(t, i)
	u, err := url.Parse(link)
	require.NoError(t, err)
	exp, sig := u.Query().Get("exp"), u.Query().Get("sig")
	later, err := strconv.Atoi(exp)
	require.NoError(t, err)
	at := func(id, exp, sig string) string {
		return "/images/" + id + ".png?" + url.Values{"exp": {exp}, "sig": {sig}}.Encode()
	}
	require.Equal(t, 200, d.get(t, "GET", at(i.ID, exp, sig)).Code)
	for name, wrong := range map[string]string{
		"another image":      at(other.ID, exp, sig),
		"unknown image":      at("01m7wnsdj83vthhjy68qfe1hke", exp, sig),
		"later expiry":       at(i.ID, strconv.Itoa(later+1), sig),
		"other signature":    at(i.ID, exp, sig[:len(sig)-2]+"xx"),
		"cut signature":      at(i.ID, exp, sig[:20]),
		"no signature":       at(i.ID, exp, ""),
		"no expiry":          at(i.ID, "", sig),
		"expiry with a sign": at(i.ID, "+"+exp, sig),
		"no query":           "/images/" + i.ID + ".png",
	} {
		got := d.get(t, "GET", wrong)
		assert.Equal(t, http.StatusForbidden, got.Code, name)
		assert.NotContains(t, got.body, "PIXELS")
	}
	for _, wrong := range []string{
		"/images/", "/images/x", "/images/" + i.ID + ".jpg?" + u.RawQuery, "/images/../" + i.ID + ".png?" + u.RawQuery, "/images/" + strings.ToUpper(i.ID) + ".png?" + u.RawQuery,
		"/images/" + i.ID + "/metadata?" + u.RawQuery, "/images/" + i.ID + ".png/x/preview?" + u.RawQuery, "/other/" + i.ID + ".png?" + u.RawQuery,
	} {
		assert.Equal(t, http.StatusNotFound, d.get(t, "GET", wrong).Code, wrong)
	}
	*d.now = d.now.Add(59 * time.Minute)
	assert.Equal(t, 200, d.get(t, "GET", link).Code)
	*d.now = d.now.Add(time.Minute)
	assert.Equal(t, http.StatusGone, d.get(t, "GET", link).Code)
}

// Links are valid in every process that uses the library, including later ones.
func TestLinks_OtherProcess(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first := newDownloads(t, folder)
	i := save(t, first.library, "x", []byte("one"))
	link := first.link(t, i)
	second := newDownloads(t, folder)
	assert.Equal(t, 200, second.get(t, "GET", link).Code)
	assert.Equal(t, 200, first.get(t, "GET", second.link(t, i)).Code)
	elsewhere := newDownloads(t, t.TempDir())
	assert.Equal(t, http.StatusForbidden, elsewhere.get(t, "GET", link).Code, "each library has its own key")
}

// An authenticated owner needs no link, and can access only their own images.
func TestDownloads_AuthenticatedOwner(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i := save(t, d.library, "x", []byte("one")) // of the owner local
	for owner, status := range map[string]int{"local": 200, "bob": 404, "": 403} {
		d.owner = owner
		assert.Equal(t, status, d.get(t, "GET", "/images/"+i.ID+".png").Code, owner)
	}
}

// A file that differs from what was saved is never sent, even if it was sent
// before it changed.
func TestDownloads_DamagedFile(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i := save(t, d.library, "x", []byte("hello"))
	link := d.link(t, i)
	require.Equal(t, 200, d.get(t, "GET", link).Code)
	info, err := os.Stat(d.library.Path(i))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.library.Path(i), []byte("hellp"), 0o600))
	require.NoError(t, os.Chtimes(d.library.Path(i), info.ModTime().Add(time.Second), info.ModTime().Add(time.Second)))
	got := d.get(t, "GET", link)
	assert.Equal(t, 500, got.Code)
	assert.NotContains(t, got.body, "hell")
	// The same change with an unchanged modification time is detected when the file
	// is verified again.
	require.NoError(t, os.WriteFile(d.library.Path(i), []byte("hello"), 0o600))
	require.Equal(t, 200, d.get(t, "GET", link).Code)
	info, err = os.Stat(d.library.Path(i))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.library.Path(i), []byte("hellp"), 0o600))
	require.NoError(t, os.Chtimes(d.library.Path(i), info.ModTime(), info.ModTime()))
	*d.now = d.now.Add(10 * time.Minute)
	assert.Equal(t, 500, d.get(t, "GET", link).Code)
	require.NoError(t, os.Remove(d.library.Path(i)))
	assert.Equal(t, 500, d.get(t, "GET", link).Code)
	require.NoError(t, d.library.Remove(t.Context(), "local", i.ID))
	assert.Equal(t, 403, d.get(t, "GET", link).Code, "a removed image gets the same response as an unknown one")
}

// A response contains an image only if the path names it and the signature is
// correct.
func FuzzDownloads(f *testing.F) {
	l := newLibrary(libraryOptions{Folder: f.TempDir(), Now: time.Now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	f.Cleanup(func() { l.Close() })
	i := save(f, l, "x", []byte("PIXELS"))
	links := resources.NewLinks(l, "", time.Hour)
	link, _, err := links.URL(f.Context(), i)
	require.NoError(f, err)
	handler := &resources.Downloads{Links: links, Owner: func(context.Context) (string, bool) { return "", false }}
	for _, seed := range []string{link, "/images/", "/images/../../etc/passwd", "/images/" + i.ID + ".png", strings.Replace(link, ".png", "/preview", 1), strings.Replace(link, ".png", "/exports/png.png", 1), "/images/%00?sig=x&exp=1"} {
		f.Add(seed)
	}
	right, err := url.Parse(link)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.Parse(target)
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, &http.Request{Method: "GET", URL: u, Header: http.Header{}})
		if w.Code < 300 {
			require.Equal(t, right.Query().Get("sig"), u.Query().Get("sig"))
			require.Equal(t, right.Query().Get("exp"), u.Query().Get("exp"))
			require.Contains(t, u.Path, i.ID)
		}
	})
}
