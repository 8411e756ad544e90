package bucket_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/bucket"
)

// role is a provider of credentials that expire at end; zero means never.
type role struct{ end time.Time }

func (r role) Retrieve() (credentials.Value, error) {
	return credentials.Value{AccessKeyID: "a", SecretAccessKey: "b", SessionToken: "c", Expiration: r.end, SignerType: credentials.SignatureV4}, nil
}

func (r role) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	return r.Retrieve()
}

func (role) IsExpired() bool { return false }

// A link expires after its lifetime, after a week, or with temporary credentials,
// whichever comes first.
func TestBucket_PresignExpires(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 890e6, time.UTC)
	second := now.Truncate(time.Second)
	for name, test := range map[string]struct {
		lifetime    time.Duration
		credentials time.Time
		want        time.Time
	}{
		"lifetime":          {time.Hour, time.Time{}, second.Add(time.Hour)},
		"longest":           {30 * 24 * time.Hour, time.Time{}, second.Add(7 * 24 * time.Hour)},
		"credentials":       {24 * time.Hour, now.Add(time.Hour), second.Add(time.Hour)},
		"later credentials": {time.Minute, now.Add(time.Hour), second.Add(time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := bucket.New(bucket.Options{
				URL: "s3://images?region=r&endpoint=http://127.0.0.1:1&path_style=true", Credentials: credentials.New(role{test.credentials}),
				Now: func() time.Time { return now },
			})
			require.NoError(t, err)
			link, expires, err := b.Presign(t.Context(), "a.png", resources.Presign{Lifetime: test.lifetime})
			require.NoError(t, err)
			assert.Equal(t, test.want, expires)
			u, err := url.Parse(link)
			require.NoError(t, err)
			assert.Equal(t, "c", u.Query().Get("X-Amz-Security-Token"))
		})
	}
}
