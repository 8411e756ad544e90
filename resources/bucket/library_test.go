package bucket_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/bucket"
	"zai-image-mcp/resources/render"
	"zai-image-mcp/resources/sqlite"
)

// newLibrary returns a library whose files are in a bucket.
func newLibrary(t testing.TB, b *bucket.Bucket, configure ...func(*resources.Options)) *resources.Library {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	o := resources.Options{
		Store: b, Previews: b.Sub(".previews"), Exports: b.Sub(".exports"), Catalog: sqlite.New(sqlite.Options{Path: filepath.Join(t.TempDir(), "c.db"), Now: time.Now, Log: log}),
		Now: time.Now, Random: rand.Reader, Log: log,
	}
	for _, f := range configure {
		f(&o)
	}
	l := resources.New(o)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// picture returns a PNG file.
func picture(t testing.TB) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 200, 100))
	_, _ = rand.Read(img.Pix)
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

// reserve returns an image that was paid for.
func reserve(t testing.TB, l *resources.Library) resources.Image {
	t.Helper()
	id, err := l.NewID()
	require.NoError(t, err)
	o, err := l.Catalog().Reserve(t.Context(), resources.Reservation{
		Images: []resources.Image{{ID: id, Owner: "local", State: resources.Submitted, Model: "m", Prompt: "zzsecretwords", UpstreamURL: "https://x.example/i.png"}}, Count: 1,
	})
	require.NoError(t, err)
	return o.New[0]
}

func save(t testing.TB, l *resources.Library, i resources.Image, file []byte) (resources.Image, error) {
	t.Helper()
	return l.Save(t.Context(), i, resources.Content{Reader: bytes.NewReader(file), MIMEType: "image/png", Extension: ".png", Width: 200, Height: 100}, "")
}

// An image in a bucket is read, previewed, checked and removed like one in a folder.
func TestLibrary_Bucket(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := newLibrary(t, b)
	file := picture(t)
	require.NoError(t, l.Prepare(t.Context(), time.Now()))
	i, err := save(t, l, reserve(t, l), file)
	require.NoError(t, err)
	got, err := l.Read(t.Context(), i)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(file, got))
	preview, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	again, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	assert.Equal(t, preview, again)
	_, err = b.Sub(".previews").Stat(t.Context(), strings.TrimSuffix(i.Path, ".png")+".jpg")
	require.NoError(t, err, "the preview is in the bucket")
	assert.Empty(t, l.Path(i))
	report, err := l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Problems)
	require.NoError(t, l.Remove(t.Context(), "local", i.ID))
	_, err = b.Stat(t.Context(), i.Path)
	require.ErrorIs(t, err, resources.ErrCorrupt)
}

// Exports are cached in the bucket, counted, and deleted with their image, if they are too
// old, or if there are too many.
func TestLibrary_BucketExports(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := newLibrary(t, b)
	usage, err := l.Usage(t.Context(), "")
	require.NoError(t, err)
	assert.Equal(t, resources.Usage{Months: []resources.MonthUsage{}}, usage)
	specs := make([]render.Spec, 2)
	for n, text := range []string{"webp-40x30-cover", "ico"} {
		specs[n], err = render.ParseSpec(text)
		require.NoError(t, err)
	}
	export := func() (image resources.Image, list []resources.Export) {
		image, err := save(t, l, reserve(t, l), picture(t))
		require.NoError(t, err)
		list, err = l.Exports(t.Context(), image, specs...)
		require.NoError(t, err)
		return image, list
	}
	first, list := export()
	second, _ := export()
	cached := func() resources.CacheUsage {
		usage, err := l.Usage(t.Context(), "local")
		require.NoError(t, err)
		return usage.Exports
	}
	all := cached()
	assert.Equal(t, 4, all.Files)
	require.NoError(t, b.Delete(t.Context(), first.Path))
	again, err := l.Exports(t.Context(), first, specs...)
	require.NoError(t, err, "from the bucket")
	assert.Equal(t, list, again)

	require.NoError(t, l.Remove(t.Context(), "local", first.ID))
	left := cached()
	assert.Equal(t, 2, left.Files)
	report, err := l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Problems)
	pruned, err := l.PruneExports(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	assert.Empty(t, pruned)
	pruned, err = l.PruneExports(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	assert.Equal(t, left, pruned)
	assert.Empty(t, cached())
	_, err = l.Exports(t.Context(), second, specs...)
	require.NoError(t, err, "made again")
	assert.Equal(t, left, cached())

	small := newLibrary(t, b, func(o *resources.Options) { o.ExportsLimit = left.Bytes })
	third, err := save(t, small, reserve(t, small), picture(t))
	require.NoError(t, err)
	_, err = small.Exports(t.Context(), third, specs...)
	require.NoError(t, err)
	assert.Less(t, cached().Files, 4, "the oldest were deleted")
}

// An object that a lifecycle rule deleted is fetched again, and an orphan of a dead
// process is moved aside by the second attempt to save.
func TestLibrary_ObjectExpired(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := newLibrary(t, b)
	file := picture(t)
	i, err := save(t, l, reserve(t, l), file)
	require.NoError(t, err)
	require.NoError(t, b.Delete(t.Context(), i.Path))
	missing, err := l.Missing(t.Context(), i)
	require.NoError(t, err)
	assert.True(t, missing)
	i, err = l.Image(t.Context(), "local", i.ID)
	require.NoError(t, err)
	assert.Equal(t, resources.FetchFailed, i.State)

	orphan := reserve(t, l)
	name := strings.ReplaceAll(pathOf(t, l, b), "ID", orphan.ID)
	_, _, err = b.Put(t.Context(), name, strings.NewReader("of a dead process"))
	require.NoError(t, err)
	_, err = save(t, l, orphan, file)
	require.ErrorIs(t, err, resources.ErrStorage)
	saved, err := save(t, l, orphan, file)
	require.NoError(t, err)
	assert.Equal(t, name, saved.Path)
	got, err := l.Read(t.Context(), saved)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(file, got))
}

// pathOf returns the name that a new image gets, with ID in the place of its id.
func pathOf(t testing.TB, l *resources.Library, b *bucket.Bucket) string {
	t.Helper()
	i, err := save(t, l, reserve(t, l), []byte("x"))
	require.NoError(t, err)
	require.NoError(t, b.Delete(t.Context(), i.Path))
	return strings.ReplaceAll(i.Path, i.ID, "ID")
}

// Content that is changed on its way from the service is not passed on.
func TestLibrary_AlteredDownload(t *testing.T) {
	t.Parallel()
	b, p := openProxy(t)
	l := newLibrary(t, b)
	i, err := save(t, l, reserve(t, l), picture(t))
	require.NoError(t, err)
	p.spoil(http.MethodGet, 1, alterAnswer)
	_, err = l.Open(t.Context(), i)
	require.ErrorIs(t, err, resources.ErrCorrupt)
	f, err := l.Open(t.Context(), i)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	p.spoil(http.MethodGet, 100, answer(http.StatusServiceUnavailable, "SlowDown"))
	_, err = l.Read(t.Context(), i)
	requireStorage(t, err, "overloaded")
	_, err = l.Reencode(t.Context(), i, 10_000)
	requireStorage(t, err, "overloaded")
	missing, err := l.Missing(t.Context(), i)
	require.NoError(t, err)
	assert.False(t, missing, "an outage is no damage")
}

// get sends a request without following redirects.
func get(t *testing.T, link string) (*http.Response, []byte) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := client.Get(link)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r, body
}

// A download is redirected to the service if the library says so, and is streamed
// otherwise. The service sends the same headers.
func TestDownloads_Bucket(t *testing.T) {
	t.Parallel()
	for _, redirect := range []bool{false, true} {
		b := open(t)
		l := newLibrary(t, b, func(o *resources.Options) { o.Redirect = redirect })
		file := picture(t)
		i, err := save(t, l, reserve(t, l), file)
		require.NoError(t, err)
		links := resources.NewLinks(l, "", time.Hour)
		s := httptest.NewServer(&resources.Downloads{Links: links, Owner: func(context.Context) (string, bool) { return "", false }})
		t.Cleanup(s.Close)
		link, _, err := links.URL(t.Context(), i)
		require.NoError(t, err)
		r, body := get(t, s.URL+link)
		if redirect {
			require.Equal(t, http.StatusFound, r.StatusCode)
			assert.Equal(t, "no-store", r.Header.Get("Cache-Control"))
			target := r.Header.Get("Location")
			assert.NotContains(t, target, "zai-test-secret")
			r, body = get(t, target)
		}
		require.Equal(t, http.StatusOK, r.StatusCode)
		assert.True(t, bytes.Equal(file, body))
		assert.Equal(t, "image/png", r.Header.Get("Content-Type"))
		assert.Contains(t, r.Header.Get("Content-Disposition"), "inline; filename")
		assert.Equal(t, "private, max-age=3600, immutable", r.Header.Get("Cache-Control"))
		r, _ = get(t, strings.Replace(s.URL+link, ".png?", "/preview?", 1))
		assert.Equal(t, http.StatusOK, r.StatusCode, "previews are streamed")

		require.NoError(t, b.Delete(t.Context(), i.Path))
		_, _, err = b.Put(t.Context(), i.Path, bytes.NewReader(bytes.Repeat([]byte("x"), len(file))))
		require.NoError(t, err)
		r, _ = get(t, s.URL+link)
		assert.Equal(t, http.StatusInternalServerError, r.StatusCode, "another object of the same size")
	}
}

// The gallery streams files, so that their addresses stay the same.
func TestDownloads_BucketDirect(t *testing.T) {
	t.Parallel()
	l := newLibrary(t, open(t), func(o *resources.Options) { o.Redirect = true })
	file := picture(t)
	i, err := save(t, l, reserve(t, l), file)
	require.NoError(t, err)
	s := httptest.NewServer(&resources.Downloads{
		Links: resources.NewLinks(l, "", time.Hour), Owner: func(context.Context) (string, bool) { return i.Owner, true }, Direct: true,
	})
	t.Cleanup(s.Close)
	r, body := get(t, s.URL+"/images/"+i.ID)
	require.Equal(t, http.StatusOK, r.StatusCode)
	assert.True(t, bytes.Equal(file, body))
	assert.Equal(t, "private, max-age=3600, immutable", r.Header.Get("Cache-Control"))
}

// The links of a server over stdio lead to the service, and expire.
func TestPresignedLinks(t *testing.T) {
	t.Parallel()
	l := newLibrary(t, open(t))
	file := picture(t)
	i, err := save(t, l, reserve(t, l), file)
	require.NoError(t, err)
	e := l.Entry(t.Context(), i, resources.Locator{Path: true, Links: resources.NewPresignedLinks(l, time.Second)})
	assert.Empty(t, e.Path)
	require.NotEmpty(t, e.DownloadURL)
	r, body := get(t, e.DownloadURL)
	require.Equal(t, http.StatusOK, r.StatusCode)
	assert.True(t, bytes.Equal(file, body))
	assert.Equal(t, "image/png", r.Header.Get("Content-Type"))
	require.Eventually(t, func() bool {
		r, _ := get(t, e.DownloadURL)
		return r.StatusCode == http.StatusForbidden
	}, 10*time.Second, 100*time.Millisecond)
}

// core returns a client of the service of a bucket, and the parts of its URL.
func core(t testing.TB, url string) (*minio.Core, bucket.Address) {
	t.Helper()
	a, err := bucket.ParseURL(url)
	require.NoError(t, err)
	c, err := minio.NewCore(a.Host, &minio.Options{Creds: credentials.NewEnvAWS(), Region: a.Region, BucketLookup: minio.BucketLookupPath})
	require.NoError(t, err)
	return c, a
}

// Walk reports incomplete uploads that are older than an hour, and Delete ends them.
func TestBucket_IncompleteUploads(t *testing.T) {
	t.Parallel()
	now := time.Now()
	u := server(t)
	b, err := bucket.New(bucket.Options{URL: u.String(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	c, a := core(t, u.String())
	require.NoError(t, put(t, b))
	_, err = c.NewMultipartUpload(t.Context(), a.Bucket, a.Prefix+"/"+name, minio.PutObjectOptions{})
	require.NoError(t, err)
	found, err := b.Walk(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found.Temporary)
	now = now.Add(2 * time.Hour)
	found, err = b.Walk(t.Context())
	require.NoError(t, err)
	if len(found.Temporary) == 0 {
		t.Skip("NOT TESTED: this server lists incomplete uploads only by the name of their object")
	}
	require.Equal(t, []string{".uploads/" + name}, found.Temporary)
	require.NoError(t, b.Delete(t.Context(), found.Temporary[0]))
	found, err = b.Walk(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found.Temporary)
	_, err = b.Stat(t.Context(), name)
	require.NoError(t, err, "the object is still there")
}
