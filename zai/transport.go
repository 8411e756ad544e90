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

// apiTransport returns the transport for questions about tasks and for images
// of the base URL's own origin.
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
// are accepted: HTTP/1.1, with a connection for each request.
//
// Over HTTP/2 net/http repeats a request by itself, without limit, when the
// server resets the stream, even if the server had taken the request. It also
// hands the failed write of an acknowledgement to requests that were sent in
// full long before. Over HTTP/1.1 net/http repeats only on a connection that
// was used before, and the only thing written is the request itself.
//
// ours is false for a foreign RoundTripper, of which nothing is known. It is
// returned as it is.
func billedTransport(from http.RoundTripper) (billed http.RoundTripper, ours bool) {
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
	// A server without HTTP/1.1 then refuses the handshake, before anything is sent.
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	// A renegotiation would write to the connection while the answer is awaited.
	t.TLSClientConfig.Renegotiation = tls.RenegotiateNever
	return t, true
}

// isWriteError reports that the system did not take all bytes that were
// written to a connection.
func isWriteError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "write"
}

// sealedBody is the body of a billed request for a RoundTripper of which
// nothing is known. As long as it was not read to its end, no server can have
// accepted the request.
type sealedBody struct {
	mu     sync.Mutex
	unread *bytes.Reader
	sealed bool
}

var errSealed = errors.New("the request was given up")

// Read implements io.Reader.
func (b *sealedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		return 0, errSealed
	}
	return b.unread.Read(p)
}

// seal reports whether the body was read to its end. Nobody can read on after
// that, not even a RoundTripper that is still at work.
func (b *sealedBody) seal() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed = true
	return b.unread.Len() == 0
}
