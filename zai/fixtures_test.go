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

// atOnce removes the waits between attempts.
func atOnce() zai.Option {
	return zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 })
}

// quickPolls keeps Await from waiting.
func quickPolls() zai.Option { return zai.WithPolling(time.Millisecond, 10*time.Millisecond) }

func newClient(t *testing.T, baseURL string, options ...zai.Option) *zai.Client {
	t.Helper()
	c, err := zai.NewClient(testKey, append([]zai.Option{zai.WithBaseURL(baseURL), atOnce()}, options...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

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

// memory is a listener without sockets, for a synctest bubble: a goroutine that
// waits for a socket keeps the bubble's clock from advancing.
type memory struct {
	connections chan net.Conn
	done        chan struct{}
}

func serveInMemory(t *testing.T, handler http.Handler) *http.Client {
	t.Helper()
	m := &memory{connections: make(chan net.Conn), done: make(chan struct{})}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Hour}
	go func() { _ = s.Serve(m) }()
	transport := &http.Transport{DialContext: m.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = s.Close()
	})
	return &http.Client{Transport: transport}
}

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
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

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.connections:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	select {
	case <-m.done:
	default:
		close(m.done)
	}
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
