package resources_test

import (
	"context"
	"image"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

func (d *downloads) exportLink(t *testing.T, i resources.Image, text string) string {
	t.Helper()
	link, _, err := d.links.ExportURL(t.Context(), i, spec(t, text))
	require.NoError(t, err)
	return link
}

// The download of an export has the headers of an image, and supports ranges and
// conditional requests.
func TestDownloads_Export(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i := save(t, d.library, "Ein süßes Kätzchen", testrig.PNGPhoto(t, 64, 48))
	for text, extension := range map[string]string{"webp-40x30-cover": ".webp", "png": ".png", "jpg-ffffff": ".jpg", "ico": ".ico"} {
		want, err := d.library.Export(t.Context(), i, spec(t, text))
		require.NoError(t, err)
		link := d.exportLink(t, i, text)
		assert.True(t, strings.HasPrefix(link, "http://x.example/images/"+i.ID+"/exports/"+text+extension+"?exp="), link)
		got := d.get(t, "GET", link)
		assert.Equal(t, 200, got.Code)
		assert.Equal(t, string(want.Data), got.body)
		assert.Equal(t, []string{want.MIMEType, `"` + want.SHA256 + `"`}, []string{got.Header().Get("Content-Type"), got.Header().Get("ETag")})
		assert.Contains(t, got.Header().Get("Cache-Control"), "private")
		kind, parameters, err := mime.ParseMediaType(got.Header().Get("Content-Disposition"))
		require.NoError(t, err)
		assert.Equal(t, "inline", kind)
		assert.Contains(t, parameters["filename"], "-"+text+extension)
		got = d.get(t, "HEAD", link)
		assert.Empty(t, got.body)
		assert.Equal(t, strconv.Itoa(len(want.Data)), got.Header().Get("Content-Length"))
		got = d.get(t, "GET", link, "Range", "bytes=1-3")
		assert.Equal(t, http.StatusPartialContent, got.Code)
		assert.Equal(t, string(want.Data[1:4]), got.body)
		assert.Equal(t, http.StatusNotModified, d.get(t, "GET", link, "If-None-Match", `"`+want.SHA256+`"`).Code)
	}
}

// The link to an export opens nothing else, and no other link opens the export.
func TestLinks_Export(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i, other := save(t, d.library, "x", testrig.PNGPhoto(t, 64, 48)), save(t, d.library, "y", testrig.PNGPhoto(t, 64, 48))
	link := d.exportLink(t, i, "png-20x10-cover")
	right, err := url.Parse(link)
	require.NoError(t, err)
	require.Equal(t, 200, d.get(t, "GET", link).Code, "control")
	paths := map[string]string{
		"the original": "/images/" + i.ID + ".png", "its preview": "/images/" + i.ID + "/preview",
		"another size": "/images/" + i.ID + "/exports/png-20x11-cover.png", "another format": "/images/" + i.ID + "/exports/webp-20x10-cover.webp",
		"another image": "/images/" + other.ID + "/exports/png-20x10-cover.png",
	}
	for name, path := range paths {
		assert.Equal(t, http.StatusForbidden, d.get(t, "GET", path+"?"+right.RawQuery).Code, name)
	}
	for name, wrong := range map[string]string{
		"of the original": d.link(t, i), "of another size": d.exportLink(t, i, "png-20x11-cover"), "of another image": d.exportLink(t, other, "png-20x10-cover"),
	} {
		u, err := url.Parse(wrong)
		require.NoError(t, err)
		assert.Equal(t, http.StatusForbidden, d.get(t, "GET", right.Path+"?"+u.RawQuery).Code, name)
		assert.Equal(t, 200, d.get(t, "GET", wrong).Code, "control: %s", name)
	}
	assert.Equal(t, http.StatusForbidden, d.get(t, "GET", right.Path).Code, "no signature")
	base := "/images/" + i.ID + "/exports/"
	for _, wrong := range []string{
		"", "png-20x10-cover", "png-20x10-cover.jpg", "png-20x10-cover.PNG", "png-20x10-cover.png/preview", "png-20x10-cover.png.png", "png-20x10.png", "gif.gif",
		"png-9999x10-cover.png", "../" + i.ID + ".png", "jpg-transparent.jpg", "jpg.jpeg",
	} {
		assert.Equal(t, http.StatusNotFound, d.get(t, "GET", base+wrong+"?"+right.RawQuery).Code, wrong)
	}
	*d.now = d.now.Add(time.Hour)
	assert.Equal(t, http.StatusGone, d.get(t, "GET", link).Code)
}

// Owners open exports of their own images with their token.
func TestDownloads_ExportOfOwner(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i := save(t, d.library, "x", testrig.PNGPhoto(t, 64, 48)) // of the owner local
	for owner, status := range map[string]int{"local": 200, "bob": 404, "": 403} {
		d.owner = owner
		assert.Equal(t, status, d.get(t, "GET", "/images/"+i.ID+"/exports/png-20x10-cover.png").Code, owner)
	}
	d.owner = "local"
	got := d.get(t, "GET", "/images/"+i.ID+"/exports/png-transparent.png")
	assert.Equal(t, http.StatusUnprocessableEntity, got.Code, "it has no plain background")
	assert.Contains(t, got.body, "background")
	require.NoError(t, d.library.Remove(t.Context(), "local", i.ID))
	assert.Equal(t, http.StatusNotFound, d.get(t, "GET", "/images/"+i.ID+"/exports/png-20x10-cover.png").Code)
}

// fullQuota is a Quota without a free place.
type fullQuota struct{ client string }

func (q *fullQuota) Take(client string, _ int) (func(), bool) {
	q.client = client
	return nil, false
}

// Downloads refuses exports beyond its bound, and serves everything else.
func TestDownloads_ExportsBounded(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i := save(t, d.library, "x", testrig.PNGPhoto(t, 64, 48))
	quota := &fullQuota{}
	handler := &resources.Downloads{Links: d.links, Owner: func(context.Context) (string, bool) { return "local", true }, Exports: quota}
	status := func(path string) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Header().Get("Retry-After")
	}
	code, retry := status("/images/" + i.ID + "/exports/png-20x10-cover.png")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.NotEmpty(t, retry)
	assert.Equal(t, i.Owner, quota.client)
	for _, path := range []string{"/images/" + i.ID + ".png", "/images/" + i.ID + "/preview"} {
		code, _ = status(path)
		assert.Equal(t, 200, code)
	}
}

// countingQuota is a Quota that counts the places that are taken.
type countingQuota struct{ taken int }

func (q *countingQuota) Take(_ string, n int) (func(), bool) {
	q.taken += n
	return func() { q.taken -= n }, true
}

// watchedWriter notes how many places are taken while a response is written.
type watchedWriter struct {
	*httptest.ResponseRecorder
	quota *countingQuota
	taken int
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	w.taken = w.quota.taken
	return w.ResponseRecorder.Write(b)
}

// A download of an export keeps its places until it is sent, and larger ones take more.
func TestDownloads_ExportKeepsItsPlace(t *testing.T) {
	t.Parallel()
	d := newDownloads(t, t.TempDir())
	i := save(t, d.library, "x", encodePNG(t, image.NewRGBA(image.Rect(0, 0, 64, 48))))
	quota := &countingQuota{}
	handler := &resources.Downloads{Links: d.links, Owner: func(context.Context) (string, bool) { return "local", true }, Exports: quota}
	for name, places := range map[string]int{"png-20x10-cover.png": 1, "png.png": 1, "png-2048x2048-cover.png": 3, "png-4096x4096-cover-zzz.png": 0} {
		w := &watchedWriter{httptest.NewRecorder(), quota, 0}
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/images/"+i.ID+"/exports/"+name, nil))
		assert.Equal(t, places, w.taken, name)
		assert.Equal(t, places > 0, w.Code == http.StatusOK, name)
		assert.Zero(t, quota.taken, name)
	}
	other := save(t, d.library, "x", []byte("no image"))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/images/"+other.ID+"/exports/jpg.jpg", nil))
	assert.Zero(t, quota.taken, "a failure gives the place back")
}
