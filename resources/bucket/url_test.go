package bucket_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/bucket"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bucket.Address{
		"s3://images":  {Bucket: "images"},
		"s3://images/": {Bucket: "images"},
		"s3://my.images/team/a?region=eu-north-1":                    {Bucket: "my.images", Prefix: "team/a", Region: "eu-north-1"},
		"s3://images?endpoint=http://127.0.0.1:9000&path_style=true": {Bucket: "images", Host: "127.0.0.1:9000", Plain: true, PathStyle: true},
		"s3://images?endpoint=https://s3.example.com/":               {Bucket: "images", Host: "s3.example.com"},
		"s3://images?endpoint=s3.example.com:8443&redirect=1":        {Bucket: "images", Host: "s3.example.com:8443", Redirect: true},
	} {
		got, err := bucket.ParseURL(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"":                                    "not a URL",
		"images":                              "not a URL",
		"s3:images":                           "not a URL",
		"https://images":                      "not a URL",
		"s3://images:9000":                    "not a URL",
		"s3://":                               "not the name of a bucket",
		"s3://Images_":                        "not the name of a bucket",
		"s3://key:zzsecret@images":            "contains credentials",
		"s3://images?secret_key=zzsecret":     "a parameter other than",
		"s3://images?zzsecret=1":              "a parameter other than",
		"s3://images/../x":                    "prefix",
		"s3://images/a//b":                    "prefix",
		"s3://images?path_style=yes":          "path_style is not valid",
		"s3://images?endpoint=ftp://x":        "endpoint is not valid",
		"s3://images?endpoint=http://a:b@x":   "endpoint is not valid",
		"s3://images?endpoint=http://x/path":  "endpoint is not valid",
		"s3://images?region=a&region=b":       "twice",
		"s3://images?endpoint=%zz&x=zzsecret": "not valid",
		"s3://images/\x7fzzsecret":            "not a URL",
	} {
		_, err := bucket.ParseURL(text)
		require.ErrorContains(t, err, want, text)
		assert.NotContains(t, err.Error(), "zzsecret")
	}
}

// The name of a bucket has no parameters.
func TestBucket_Name(t *testing.T) {
	t.Parallel()
	b, err := bucket.New(bucket.Options{URL: "s3://images/a?endpoint=http://127.0.0.1:1", Now: time.Now})
	require.NoError(t, err)
	assert.Equal(t, "s3://images/a", b.Name())
	assert.Equal(t, "s3://images/a/.previews", b.Sub(".previews").Name())
	assert.Empty(t, b.Path("x"))
}
