package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/bucket"
)

// fault spoils a request or its answer. next forwards the request to the server.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// proxy is an S3 server whose requests can be spoiled.
type proxy struct {
	mu     sync.Mutex
	method string // of the requests that are spoiled
	fault  fault
	left   int // requests that are still spoiled
	seen   int // requests with the method
}

// spoil spoils the next requests of a method.
func (p *proxy) spoil(method string, count int, f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.method, p.left, p.fault, p.seen = method, count, f, 0
}

// requests returns the number of requests since spoil.
func (p *proxy) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *proxy) next(r *http.Request) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method != p.method {
		return nil
	}
	p.seen++
	if p.left == 0 {
		return nil
	}
	p.left--
	return p.fault
}

// openProxy returns a bucket behind a proxy, and the times that it waits before it
// repeats requests, without waiting.
func openProxy(t testing.TB, configure ...func(*bucket.Options)) (*bucket.Bucket, *proxy) {
	t.Helper()
	u := server(t)
	query := u.Query()
	target, err := url.Parse(query.Get("endpoint"))
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{
		// The signature covers the host of the proxy.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p := &proxy{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := p.next(r); f != nil {
			f(w, r, forward)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	query.Set("endpoint", s.URL)
	u.RawQuery = query.Encode()
	o := bucket.Options{URL: u.String(), Now: time.Now, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	for _, f := range configure {
		f(&o)
	}
	b, err := bucket.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b, p
}

// answer is the fault of a service that answers with an error.
func answer(status int, code string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>`+code+`</Code><Message>about zzsecretwords</Message></Error>`)
	}
}

// resetRequest closes the connection after n bytes of the request.
func resetRequest(n int64) fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, n)
		panic(http.ErrAbortHandler)
	}
}

// resetAnswer closes the connection after n bytes of the answer.
func resetAnswer(n int) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		maps.Copy(w.Header(), whole.Header())
		w.WriteHeader(whole.Code)
		_, _ = w.Write(whole.Body.Bytes()[:min(n, whole.Body.Len())])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// loseAnswer lets the service work and closes the connection.
func loseAnswer(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// hang does not answer until the client gives up.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// alterRequest changes a byte of the request.
func alterRequest(w http.ResponseWriter, r *http.Request, next http.Handler) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(flipped(b)))
	next.ServeHTTP(w, r)
}

// alterAnswer changes a byte of the answer.
func alterAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	maps.Copy(w.Header(), whole.Header())
	w.WriteHeader(whole.Code)
	_, _ = w.Write(flipped(whole.Body.Bytes()))
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) > 0 {
		b[len(b)/2] ^= 1
	}
	return b
}

// errSource is the error of a source that breaks.
var errSource = errors.New("the source broke")
