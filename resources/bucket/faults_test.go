package bucket_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/bucket"
)

const name = "2026/11/20/zzsecretwords-01kb0000000000000000000001.png"

func content() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 2_500) }

func readAll(t *testing.T, b *bucket.Bucket) ([]byte, error) {
	t.Helper()
	f, err := b.Open(t.Context(), name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func put(t *testing.T, b *bucket.Bucket) error {
	t.Helper()
	_, _, err := b.Put(t.Context(), name, bytes.NewReader(content()))
	return err
}

// timeoutIf shortens the time limit of requests for tests in which it ends one. Other
// tests keep the default, which a busy machine does not reach.
func timeoutIf(reached bool) func(*bucket.Options) {
	return func(o *bucket.Options) {
		if reached {
			o.Timeout = 500 * time.Millisecond
		}
	}
}

// A fault that passes is not noticed: requests are repeated.
func TestBucket_PassingFaults(t *testing.T) {
	t.Parallel()
	faults := map[string]fault{
		"503":                     answer(http.StatusServiceUnavailable, "SlowDown"),
		"500":                     answer(http.StatusInternalServerError, "InternalError"),
		"502 of a proxy":          answer(http.StatusBadGateway, "Bad gateway <html>"),
		"429":                     answer(http.StatusTooManyRequests, "TooManyRequests"),
		"409 of a condition":      answer(http.StatusConflict, "ConditionalRequestConflict"),
		"reset before the answer": resetRequest(0),
		"lost answer":             loseAnswer,
		"no answer":               hang,
	}
	for fault, f := range faults {
		for method, call := range map[string]func(*testing.T, *bucket.Bucket) error{
			http.MethodPut:    func(t *testing.T, b *bucket.Bucket) error { t.Helper(); return put(t, b) },
			http.MethodHead:   func(t *testing.T, b *bucket.Bucket) error { t.Helper(); _, err := readAll(t, b); return err },
			http.MethodGet:    func(t *testing.T, b *bucket.Bucket) error { t.Helper(); _, err := readAll(t, b); return err },
			"WALK":            func(t *testing.T, b *bucket.Bucket) error { t.Helper(); _, err := b.Walk(t.Context()); return err },
			http.MethodDelete: func(t *testing.T, b *bucket.Bucket) error { t.Helper(); return b.Delete(t.Context(), name) },
			"QUARANTINE":      func(t *testing.T, b *bucket.Bucket) error { t.Helper(); return b.Quarantine(t.Context(), name) },
		} {
			t.Run(fault+" to "+method, func(t *testing.T) {
				t.Parallel()
				b, p := openProxy(t, timeoutIf(fault == "no answer"))
				if method != http.MethodPut {
					require.NoError(t, put(t, b))
				}
				kind := map[string]string{"WALK": http.MethodGet, "QUARANTINE": http.MethodPut}[method]
				if kind == "" {
					kind = method
				}
				p.spoil(kind, 2, f)
				require.NoError(t, call(t, b))
				assert.GreaterOrEqual(t, p.requests(), 3)
				if method == http.MethodPut || method == http.MethodGet || method == http.MethodHead {
					got, err := readAll(t, b)
					require.NoError(t, err)
					assert.True(t, bytes.Equal(content(), got))
				}
			})
		}
	}
}

// A connection that is closed in the middle of the content is noticed, in both
// directions, and the content is sent again.
func TestBucket_ResetWithinContent(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 1000, 32_768, len(content()) - 1} {
		t.Run(fmt.Sprint(n, " bytes"), func(t *testing.T) {
			t.Parallel()
			b, p := openProxy(t)
			p.spoil(http.MethodPut, 2, resetRequest(int64(n)))
			require.NoError(t, put(t, b))
			assert.Equal(t, 3, p.requests())
			p.spoil(http.MethodGet, 2, resetAnswer(n))
			got, err := readAll(t, b)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(content(), got))
			assert.Equal(t, 3, p.requests())
		})
	}
}

// Content that is changed on its way to the service is refused by it and sent again.
func TestBucket_AlteredUpload(t *testing.T) {
	t.Parallel()
	b, p := openProxy(t)
	p.spoil(http.MethodPut, 1, alterRequest)
	require.NoError(t, put(t, b))
	assert.Equal(t, 2, p.requests())
	got, err := readAll(t, b)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(content(), got))

	require.NoError(t, b.Delete(t.Context(), name))
	p.spoil(http.MethodPut, 100, alterRequest)
	err = put(t, b)
	requireStorage(t, err, "changed on the way")
	_, err = b.Stat(t.Context(), name)
	require.ErrorIs(t, err, resources.ErrCorrupt, "nothing was saved")
}

// requireStorage checks a StorageError: what it says, and what it must not contain.
func requireStorage(t *testing.T, err error, reason string) {
	t.Helper()
	require.ErrorIs(t, err, resources.ErrStorage)
	require.NotErrorIs(t, err, resources.ErrCorrupt)
	var storage *resources.StorageError
	require.ErrorAs(t, err, &storage)
	assert.Contains(t, storage.Reason(), reason)
	assert.Equal(t, "bucket", storage.Part)
	assert.True(t, strings.HasPrefix(storage.Path, "s3://zai-test/"), storage.Path)
	for _, text := range []string{err.Error(), storage.Reason(), storage.Advice(), storage.Path} {
		assert.NotContains(t, text, "zzsecretwords")
		assert.NotContains(t, text, "zai-test-secret")
		assert.NotContains(t, text, "zai-test-access")
		assert.NotContains(t, text, "X-Amz")
	}
	assert.NotEmpty(t, storage.Advice())
	assert.NotContains(t, storage.Advice(), "PLACE")
}

// A fault that lasts is reported after a few attempts, with its reason.
func TestBucket_LastingFaults(t *testing.T) {
	t.Parallel()
	for fault, tt := range map[string]struct {
		fault    fault
		reason   string
		attempts int
	}{
		"overloaded":       {answer(http.StatusServiceUnavailable, "SlowDown"), "overloaded", 5},
		"reset":            {resetRequest(10), "does not respond", 5},
		"lost answers":     {func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, "does not respond", 5},
		"no answer":        {hang, "does not respond (timeout)", 5},
		"denied":           {answer(http.StatusForbidden, "AccessDenied"), "access is denied (AccessDenied)", 1},
		"unknown key":      {answer(http.StatusForbidden, "InvalidAccessKeyId"), "credentials are not valid", 1},
		"expired":          {answer(http.StatusBadRequest, "ExpiredToken"), "have expired", 5},
		"other region":     {answer(http.StatusMovedPermanently, "PermanentRedirect"), "another region", 1},
		"region malformed": {answer(http.StatusBadRequest, "AuthorizationHeaderMalformed"), "another region", 1},
		"no bucket":        {answer(http.StatusNotFound, "NoSuchBucket"), "no such bucket", 1},
		"clock":            {answer(http.StatusForbidden, "RequestTimeTooSkewed"), "clock", 1},
		"odd code":         {answer(http.StatusTeapot, "zzsecretwords are bad"), "status 418", 1},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			b, p := openProxy(t, timeoutIf(fault == "no answer"))
			p.spoil(http.MethodPut, 100, tt.fault)
			requireStorage(t, put(t, b), tt.reason)
			assert.Equal(t, tt.attempts, p.requests())
			p.spoil(http.MethodPut, 100, tt.fault)
			requireStorage(t, b.Prepare(t.Context(), name), tt.reason)
			p.spoil("", 0, nil)
			_, err := b.Stat(t.Context(), name)
			require.ErrorIs(t, err, resources.ErrCorrupt, "nothing was saved")
			require.NoError(t, put(t, b), "the fault has passed")
		})
	}
}

// An upload whose answer was lost succeeds: the object has the same content. Another
// content is refused.
func TestBucket_LostAnswerOfUpload(t *testing.T) {
	t.Parallel()
	b, p := openProxy(t)
	p.spoil(http.MethodPut, 1, loseAnswer)
	require.NoError(t, put(t, b))
	assert.Equal(t, 2, p.requests())
	_, _, err := b.Put(t.Context(), name, strings.NewReader("another content"))
	require.ErrorIs(t, err, resources.ErrExists)
	require.ErrorIs(t, err, resources.ErrStorage)
	require.NotContains(t, err.Error(), "zzsecretwords")
	got, err := readAll(t, b)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(content(), got))
}

// A service without conditional requests is asked whether the object exists.
func TestBucket_NoConditionalRequests(t *testing.T) {
	t.Parallel()
	b, p := openProxy(t)
	refuse := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("If-None-Match") != "" {
			answer(http.StatusNotImplemented, "NotImplemented")(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
	p.spoil(http.MethodPut, 100, refuse)
	require.NoError(t, put(t, b))
	require.NoError(t, put(t, b))
	_, _, err := b.Put(t.Context(), name, strings.NewReader("another content"))
	require.ErrorIs(t, err, resources.ErrExists)
}

// An object whose bucket does not exist is not missing: it would be lost or fetched
// again.
func TestBucket_BucketGone(t *testing.T) {
	t.Parallel()
	u := server(t)
	u.Host = "zai-test-absent"
	b, err := bucket.New(bucket.Options{URL: u.String(), Now: time.Now})
	require.NoError(t, err)
	for call, f := range map[string]func() error{
		"Stat":    func() error { _, err := b.Stat(t.Context(), name); return err },
		"Open":    func() error { _, err := b.Open(t.Context(), name); return err },
		"Put":     func() error { return put(t, b) },
		"Walk":    func() error { _, err := b.Walk(t.Context()); return err },
		"Prepare": func() error { return b.Prepare(t.Context(), "") },
		"Present": func() error { return b.Present(t.Context()) },
		"Ping":    func() error { return b.Ping(t.Context()) },
	} {
		err := f()
		require.ErrorIs(t, err, resources.ErrStorage, call)
		require.NotErrorIs(t, err, resources.ErrCorrupt, call)
		require.ErrorContains(t, err, "there is no such bucket", call)
	}
}

// The causes that need no server.
func TestBucket_Unusable(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	address := "s3://zai-test/x?path_style=true&endpoint=http://" + closed.Addr().String()
	for name, tt := range map[string]struct {
		credentials *credentials.Credentials
		reason      string
	}{
		"refused":        {credentials.NewStaticV4("zai-test-access", "zai-test-secret", ""), "does not respond (connect: connection refused)"},
		"no credentials": {credentials.NewChainCredentials(nil), "there are no credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := bucket.New(bucket.Options{
				URL: address, Credentials: tt.credentials, Now: time.Now, Sleep: func(context.Context, time.Duration) error { return nil },
			})
			require.NoError(t, err)
			requireStorage(t, put(t, b), tt.reason)
			requireStorage(t, b.Ping(t.Context()), tt.reason)
			_, err = b.Open(t.Context(), "zzsecretwords")
			requireStorage(t, err, tt.reason)
		})
	}
}

// The secret and the access key are wrong.
func TestBucket_WrongCredentials(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string][2]string{"secret": {"zai-test-access", "wrong"}, "key": {"nobody", "zai-test-secret"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, func(o *bucket.Options) { o.Credentials = credentials.NewStaticV4(pair[0], pair[1], "") })
			requireStorage(t, put(t, b), "its credentials are not valid")
			requireStorage(t, b.Prepare(t.Context(), ""), "its credentials are not valid")
		})
	}
}

// Content that is larger than the limit is refused before anything is sent.
func TestBucket_TooLarge(t *testing.T) {
	t.Parallel()
	b, err := bucket.New(bucket.Options{URL: "s3://zai-test/x", Now: time.Now})
	require.NoError(t, err)
	endless := io.LimitReader(zeros{}, 64<<20+1)
	_, _, err = b.Put(t.Context(), name, endless)
	requireStorage(t, err, "larger than 64 MiB")
	_, _, err = b.Put(t.Context(), name, iotest.ErrReader(errSource))
	require.Equal(t, errSource, err)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Prepare writes at most once a minute, and again after a failure of any write.
func TestBucket_PrepareOncePerMinute(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b, p := openProxy(t, func(o *bucket.Options) { o.Now = func() time.Time { return now } })
	p.spoil(http.MethodPut, 1, answer(http.StatusForbidden, "AccessDenied"))
	require.Error(t, b.Prepare(t.Context(), name))
	require.NoError(t, b.Prepare(t.Context(), name))
	require.NoError(t, b.Prepare(t.Context(), ""))
	assert.Equal(t, 2, p.requests())
	now = now.Add(61 * time.Second)
	require.NoError(t, b.Prepare(t.Context(), name))
	assert.Equal(t, 3, p.requests())
	p.spoil(http.MethodPut, 1, answer(http.StatusForbidden, "AccessDenied"))
	require.Error(t, put(t, b))
	require.NoError(t, b.Prepare(t.Context(), name))
	assert.Equal(t, 2, p.requests(), "after a failure it does not rely on the last write")
}
