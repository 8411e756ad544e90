package zai_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

// If the service refuses a request because too many are in flight, the error is
// returned at once. Similar responses are handled like other failures.
func TestError_TooManyInFlight(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   bool
		posts  int64
	}{
		"1302":             {429, `{"error":{"code":"1302","message":"Rate limit reached for requests"}}`, true, 1},
		"1302 as a number": {429, `{"error":{"code":1302,"message":"x"},"request_id":"r"}`, true, 1},
		"1305":             {429, `{"error":{"code":"1305","message":"overloaded"}}`, true, 1},
		"1303":             {429, `{"error":{"code":"1303","message":"x"}}`, false, 4},
		"1312":             {429, `{"error":{"code":"1312","message":"x"}}`, false, 4},
		"no balance":       {429, `{"error":{"code":"1113","message":"x"}}`, false, 1},
		"flat fields":      {429, `{"code":1302,"message":"x"}`, false, 1},
		"no body":          {429, ``, false, 1},
		"status 503":       {503, `{"error":{"code":"1302","message":"x"}}`, false, 1},
		"status 200":       {200, `{"error":{"code":"1302","message":"x"}}`, false, 1},
		"1234":             {500, `{"error":{"code":"1234","message":"x"}}`, false, 4},
	} {
		t.Run(name, func(t *testing.T) {
			h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})}
			c := newClient(t, serve(t, h).URL)
			for operation, call := range map[string]func() error{
				"GenerateImage": func() error { _, err := c.GenerateImage(t.Context(), kitten()); return err },
				"Submit":        func() error { _, err := c.Submit(t.Context(), poster()); return err },
			} {
				h.n.Store(0)
				e, ok := errors.AsType[*zai.Error](call())
				require.True(t, ok)
				assert.Equal(t, tt.want, e.TooManyInFlight(), operation)
				assert.Equal(t, tt.posts, h.n.Load(), operation)
				if tt.want {
					assert.True(t, e.NotAccepted)
					assert.Equal(t, zai.KindRateLimited, e.Kind)
				}
			}
		})
	}
}

// An attempt that the deadline cuts short has an unknown outcome, so it is not
// made, and the last refusal is returned.
func TestGenerateImage_NoAttemptBeyondDeadline(t *testing.T) {
	for name, tt := range map[string]struct {
		request   zai.ImageRequest
		call, ctx time.Duration
		posts     int64
	}{
		"timeout of the client":  {kitten(), 45 * time.Second, time.Hour, 3},
		"deadline of the caller": {kitten(), time.Hour, 45 * time.Second, 3},
		"slow model":             {poster(), 5 * time.Minute, time.Minute, 1},
		"slow quality":           {zai.ImageRequest{Model: "cogview-4-250304", Prompt: "x", Quality: zai.HD}, 45 * time.Second, time.Hour, 1},
		"enough time":            {poster(), 5 * time.Minute, time.Hour, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					time.Sleep(12 * time.Second)
					w.WriteHeader(500)
					_, _ = io.WriteString(w, `{"error":{"code":"1234","message":"x"}}`)
				})}
				c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, h)), zai.WithTimeouts(time.Second, tt.call))
				ctx, cancel := context.WithTimeout(t.Context(), tt.ctx)
				defer cancel()
				_, err := c.GenerateImage(ctx, tt.request)
				require.ErrorIs(t, err, zai.KindUpstream, "the service refused it every time")
				assert.Equal(t, tt.posts, h.n.Load())
			})
		})
	}
}

func TestWithDownloadRetries(t *testing.T) {
	for name, tt := range map[string]struct {
		waits []time.Duration
		total time.Duration
	}{
		"none":  {nil, 0},
		"some":  {[]time.Duration{time.Minute, time.Hour}, time.Hour + time.Minute},
		"zeros": {[]time.Duration{0, 0}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &counter{Handler: http.NotFoundHandler()}
				c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, h)), zai.WithDownloadRetries(tt.waits...))
				start := time.Now()
				_, err := c.Download(t.Context(), zai.ImageData{URL: "http://api.test/a.png"})
				require.ErrorIs(t, err, zai.KindDownload)
				assert.Equal(t, tt.total, time.Since(start))
				assert.EqualValues(t, len(tt.waits)+1, h.n.Load())
			})
		})
	}
	_, err := zai.NewClient("k", zai.WithDownloadRetries(-time.Second))
	require.Error(t, err)
}
