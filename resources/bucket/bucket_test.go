package bucket_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/bucket"
	"zai-image-mcp/resources/storetest"
)

// server returns the URL of a part of a bucket that no other test uses. The
// credentials are read from the environment.
func server(t testing.TB) *url.URL {
	t.Helper()
	text := os.Getenv("ZAI_TEST_S3")
	if text == "" {
		t.Skip("NOT TESTED: ZAI_TEST_S3 does not name an S3 server (see .ci/servers)")
	}
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u.JoinPath(time.Now().UTC().Format("20060102-150405.000000000"), url.PathEscape(t.Name()))
}

// open returns an empty part of a bucket.
func open(t testing.TB, configure ...func(*bucket.Options)) *bucket.Bucket {
	t.Helper()
	o := bucket.Options{URL: server(t).String(), Now: time.Now}
	for _, f := range configure {
		f(&o)
	}
	b, err := bucket.New(o)
	require.NoError(t, err)
	return b
}

func TestBucket(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) resources.Store { return open(t) })
}

// A Sub has files of its own and replaces them.
func TestBucket_Sub(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) resources.Store { return open(t).Sub(".previews") })
}

// List leaves out the empty objects by which consoles of services represent folders.
func TestBucket_ListWithoutFolders(t *testing.T) {
	t.Parallel()
	address := server(t)
	b, err := bucket.New(bucket.Options{URL: address.String(), Now: time.Now})
	require.NoError(t, err)
	client, a := core(t, address.String())
	for _, folder := range []string{"/", "/2026/"} {
		// PutObject sends the end of the chunks after an empty object, which the Versity
		// gateway takes for the next request.
		u, err := client.PresignedPutObject(t.Context(), a.Bucket, a.Prefix+folder, time.Minute)
		require.NoError(t, err)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, u.String(), http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	_, _, err = b.Put(t.Context(), "2026/x.png", strings.NewReader("x"))
	require.NoError(t, err)
	var names []string
	require.NoError(t, b.List(t.Context(), "", func(f resources.StoredFile) error {
		names = append(names, f.Name)
		return nil
	}))
	assert.Equal(t, []string{"2026/x.png"}, names)
}
