package zai

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// apiTransport returns the default transport, for polls and for images of the
// base URL's own origin. Billed requests use a copy of it, see billedTransport.
func apiTransport(connect time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connect, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   connect,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          32,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       15 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// billedTransport returns the transport for requests that are billed once they
// are accepted. It uses HTTP/1.1 and a new connection for each request.
//
// Over HTTP/2 net/http repeats a request, without limit, if the server resets
// the stream, even if the server had accepted the request. If it fails to write
// an acknowledgement, it also reports that error for requests that were sent in
// full long before. Over HTTP/1.1 net/http repeats requests on reused
// connections only, and writes nothing but the request.
//
// http1 is false if from is not an *http.Transport. Such a RoundTripper may do
// anything, and is returned unchanged.
func billedTransport(from http.RoundTripper) (billed http.RoundTripper, http1 bool) {
	if from == nil {
		from = http.DefaultTransport
	}
	original, ok := from.(*http.Transport)
	if !ok {
		return from, false
	}
	t := original.Clone()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // removes what http2.ConfigureTransport installed
	t.DisableKeepAlives = true
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// A server without HTTP/1.1 refuses the handshake, before anything is sent.
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	// A renegotiation would write to the connection after the request.
	t.TLSClientConfig.Renegotiation = tls.RenegotiateNever
	return t, true
}

// isWriteError reports whether a write to the connection failed, so that the
// system did not accept all bytes of the request.
func isWriteError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "write"
}

// sealedBody is the body of a billed request for a RoundTripper that is not an
// *http.Transport. No server can have accepted the request before its body was
// read to the end.
type sealedBody struct {
	mu     sync.Mutex
	unread *bytes.Reader
	sealed bool
}

var errSealed = errors.New("the request was abandoned")

// Read implements io.Reader.
func (b *sealedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		return 0, errSealed
	}
	return b.unread.Read(p)
}

// seal reports whether the body was read to its end. All later reads fail, even
// by a RoundTripper that has not returned yet.
func (b *sealedBody) seal() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed = true
	return b.unread.Len() == 0
}
