package zai_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

const testKey = "0123456789abcdef0123456789abcdef.ABCDEFGHIJKLMNOP"

// noBackoff removes the waits between attempts.
func noBackoff() zai.Option {
	return zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 })
}

// quickPolls makes Await poll every few milliseconds.
func quickPolls() zai.Option { return zai.WithPolling(time.Millisecond, 10*time.Millisecond) }

func newClient(t *testing.T, baseURL string, options ...zai.Option) *zai.Client {
	t.Helper()
	c, err := zai.NewClient(testKey, append([]zai.Option{zai.WithBaseURL(baseURL), noBackoff()}, options...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// kitten returns a request for a fast model without an asynchronous endpoint.
func kitten() zai.ImageRequest {
	return zai.ImageRequest{Model: "cogview-4-250304", Prompt: "a kitten", Size: "1024x1024"}
}

// counter counts the requests that reach a handler.
type counter struct {
	http.Handler
	n atomic.Int64
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.n.Add(1)
	c.Handler.ServeHTTP(w, r)
}

// memoryListener is a listener without sockets, for use in a synctest bubble:
// the clock of a bubble does not advance while a goroutine waits for a socket.
type memoryListener struct {
	connections chan net.Conn
	done        chan struct{}
}

// serveInMemory serves a handler without sockets and returns a client for it.
func serveInMemory(t *testing.T, handler http.Handler) *http.Client {
	t.Helper()
	m := &memoryListener{connections: make(chan net.Conn), done: make(chan struct{})}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Hour}
	go func() { _ = s.Serve(m) }()
	transport := &http.Transport{DialContext: m.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = s.Close()
	})
	return &http.Client{Transport: transport}
}

func (m *memoryListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case m.connections <- theirs:
		return ours, nil
	case <-m.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-m.connections:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memoryListener) Close() error {
	select {
	case <-m.done:
	default:
		close(m.done)
	}
	return nil
}

func (m *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
