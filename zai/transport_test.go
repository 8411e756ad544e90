package zai_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"zai-image-mcp/zai"
)

// gateway is a TLS server that offers HTTP/2 and HTTP/1.1. It accepts every
// complete request. Afterwards it fails the first two, over HTTP/2 by calling
// fail and over HTTP/1.1 by a reset, and responds to later ones.
type gateway struct {
	address  string
	roots    *http.Transport // trusts the gateway
	accepted atomic.Int64
	http2    atomic.Int64 // how many of them used HTTP/2
	fail     func(f *http2.Framer, c net.Conn, stream uint32)
}

const failures = 2

func startGateway(t *testing.T, fail func(*http2.Framer, net.Conn, uint32)) *gateway {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: certified.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	g := &gateway{address: "https://" + l.Addr().String(), roots: certified.Client().Transport.(*http.Transport), fail: fail}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.serve(c.(*tls.Conn))
		}
	}()
	return g
}

// transport returns a transport that trusts the gateway and is otherwise like
// the default one of a Client.
func (g *gateway) transport() *http.Transport {
	return &http.Transport{
		DialContext: (&net.Dialer{}).DialContext, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: g.roots.TLSClientConfig.RootCAs},
	}
}

func (g *gateway) serve(c *tls.Conn) {
	defer c.Close()
	if c.Handshake() != nil {
		return
	}
	if c.ConnectionState().NegotiatedProtocol == "h2" {
		g.serveHTTP2(c)
		return
	}
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || !bytes.HasSuffix(body, []byte("}")) {
		return
	}
	if g.accepted.Add(1) <= failures {
		reset(c)
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+responseOfGLM)
}

func (g *gateway) serveHTTP2(c net.Conn) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return
	}
	f := http2.NewFramer(c, c)
	_ = f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		data, ok := frame.(*http2.DataFrame)
		if !ok || !data.StreamEnded() {
			continue
		}
		g.http2.Add(1)
		if g.accepted.Add(1) <= failures {
			g.fail(f, c, data.StreamID)
			continue
		}
		var head bytes.Buffer
		_ = hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: data.StreamID, BlockFragment: head.Bytes(), EndHeaders: true})
		_ = f.WriteData(data.StreamID, true, []byte(responseOfGLM))
	}
}

// reset ends a connection with a TCP reset.
func reset(c net.Conn) {
	tcp := c.(*tls.Conn).NetConn().(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
}

func resetStream(code http2.ErrCode) func(*http2.Framer, net.Conn, uint32) {
	return func(f *http2.Framer, _ net.Conn, stream uint32) { _ = f.WriteRSTStream(stream, code) }
}

// A gateway that accepts a request and then fails must not receive it twice. In
// most of the cases a plain HTTP/2 client, for comparison, repeats its POST.
func TestGenerateImage_OnePOSTOverHTTP2Gateway(t *testing.T) {
	tests := map[string]struct {
		fail     func(*http2.Framer, net.Conn, uint32)
		repeated int64 // POSTs of a plain HTTP/2 client
	}{
		"RST_STREAM PROTOCOL_ERROR": {resetStream(http2.ErrCodeProtocol), 3},
		"RST_STREAM REFUSED_STREAM": {resetStream(http2.ErrCodeRefusedStream), 3},
		"RST_STREAM INTERNAL_ERROR": {resetStream(http2.ErrCodeInternal), 1},
		"GOAWAY": {func(f *http2.Framer, c net.Conn, _ uint32) {
			_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
			c.Close()
		}, 3},
		"PING, then a reset": {func(f *http2.Framer, c net.Conn, _ uint32) {
			_ = f.WritePing(false, [8]byte{1})
			reset(c)
		}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the plain client waits a second before one of its retries
			control := startGateway(t, tt.fail)
			plain := control.transport()
			defer plain.CloseIdleConnections()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, control.address, strings.NewReader("{}"))
			require.NoError(t, err)
			if response, err := (&http.Client{Transport: plain}).Do(r); err == nil {
				response.Body.Close()
			}
			assert.Equal(t, tt.repeated, control.accepted.Load())
			assert.Equal(t, tt.repeated, control.http2.Load())

			g := startGateway(t, tt.fail)
			_, err = newClient(t, g.address, zai.WithHTTPClient(&http.Client{Transport: g.transport()})).GenerateImage(t.Context(), kitten())
			require.ErrorIs(t, err, zai.KindOutcomeUnknown)
			assert.EqualValues(t, 1, g.accepted.Load())

			g = startGateway(t, tt.fail)
			_, err = newClient(t, g.address, zai.WithHTTPClient(&http.Client{Transport: g.transport()})).Submit(t.Context(), poster())
			require.ErrorIs(t, err, zai.KindOutcomeUnknown)
			assert.EqualValues(t, 1, g.accepted.Load())
		})
	}
}

// Billed requests use HTTP/1.1, in whatever way the caller enables HTTP/2.
func TestWithHTTPClient_BilledRequestsStayHTTP1(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *http.Transport){
		"ForceAttemptHTTP2": func(*testing.T, *http.Transport) {},
		"Protocols": func(_ *testing.T, tr *http.Transport) {
			tr.Protocols = new(http.Protocols)
			tr.Protocols.SetHTTP2(true)
		},
		"TLSNextProto": func(t *testing.T, tr *http.Transport) {
			require.NoError(t, http2.ConfigureTransport(tr)) //nolint:staticcheck // deprecated, but still in use
		},
		"NextProtos": func(_ *testing.T, tr *http.Transport) { tr.TLSClientConfig.NextProtos = []string{"h2"} },
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, resetStream(http2.ErrCodeProtocol))
			tr := g.transport()
			change(t, tr)
			c := newClient(t, g.address, zai.WithHTTPClient(&http.Client{Transport: tr}))
			_, err := c.GenerateImage(t.Context(), kitten())
			require.ErrorIs(t, err, zai.KindOutcomeUnknown)
			assert.EqualValues(t, 1, g.accepted.Load())
			assert.Zero(t, g.http2.Load())
		})
	}
	t.Run("default", func(t *testing.T) {
		protocols, reused := newClient(t, "https://127.0.0.1").BilledTransport()
		assert.Equal(t, "{HTTP1}", protocols)
		assert.False(t, reused)
	})
}

// failingConn fails all writes once the gateway has the request.
type failingConn struct {
	net.Conn
	failing *atomic.Bool
}

func (c failingConn) Write(b []byte) (int, error) {
	if c.failing.Load() {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: errors.New("broken pipe")}
	}
	return c.Conn.Write(b)
}

// An HTTP/2 connection also writes while it waits for a response. If such a
// write fails, the request may still have been sent.
func TestGenerateImage_WriteErrorAfterTheRequest(t *testing.T) {
	var failing atomic.Bool
	ping := func(f *http2.Framer, _ net.Conn, _ uint32) {
		failing.Store(true)
		_ = f.WritePing(false, [8]byte{1})
	}
	connect := func(g *gateway) *http.Transport {
		failing.Store(false)
		tr := g.transport()
		dialer := &net.Dialer{}
		tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			return failingConn{c, &failing}, err
		}
		return tr
	}
	control := startGateway(t, ping)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, control.address, strings.NewReader("{}"))
	require.NoError(t, err)
	_, err = (&http.Client{Transport: connect(control)}).Do(r)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "write", op.Op, "the error is a write error")
	require.EqualValues(t, 1, control.accepted.Load(), "the request was accepted nevertheless")

	g := startGateway(t, ping)
	_, err = newClient(t, g.address, zai.WithHTTPClient(&http.Client{Transport: connect(g)})).GenerateImage(t.Context(), kitten())
	require.ErrorIs(t, err, zai.KindOutcomeUnknown)
	assert.EqualValues(t, 1, g.accepted.Load())
}

// roundTripper is a RoundTripper that is not an *http.Transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// With a RoundTripper that is not an *http.Transport, a request counts as not
// sent only if its body was not read to the end.
func TestWithHTTPClient_ForeignRoundTripper(t *testing.T) {
	failed := &net.OpError{Op: "write", Net: "tcp", Err: errors.New("broken pipe")}
	for name, tt := range map[string]struct {
		read  func(*http.Request)
		kind  zai.Kind
		calls int
	}{
		"body unread":    {func(*http.Request) {}, zai.KindUpstream, 4},
		"body half read": {func(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2) }, zai.KindUpstream, 4},
		"body read":      {func(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, r.ContentLength) }, zai.KindOutcomeUnknown, 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			hc := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				calls++
				assert.Nil(t, r.GetBody, "the request cannot be sent again")
				tt.read(r)
				return nil, failed
			})}
			_, err := newClient(t, "http://api.test", zai.WithHTTPClient(hc)).GenerateImage(t.Context(), kitten())
			require.ErrorIs(t, err, tt.kind)
			assert.Equal(t, tt.calls, calls)
		})
	}
	t.Run("body read after the error", func(t *testing.T) {
		var late io.Reader
		hc := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			late = r.Body
			return nil, failed
		})}
		_, err := newClient(t, "http://api.test", zai.WithHTTPClient(hc)).GenerateImage(t.Context(), kitten())
		require.ErrorIs(t, err, zai.KindUpstream)
		_, err = io.ReadAll(late)
		require.Error(t, err, "a request that counts as not sent cannot be sent later")
	})
}
