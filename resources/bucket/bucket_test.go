package bucket_test

import (
	"net/url"
	"os"
	"testing"
	"time"

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
