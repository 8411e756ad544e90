package zai

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

var errForbiddenAddress = errors.New("the link leads to an address that is not public")

// checkAddress returns a net.Dialer.Control that allows only port 443 of public
// addresses. It checks the address that is dialled, after name resolution, so
// that neither unusual spellings nor changing DNS records bypass it. The blocks
// of the IANA special-purpose registries, multicast, and IPv6 outside 2000::/3
// are not public.
func checkAddress() func(network, address string, _ syscall.RawConn) error {
	guard := ssrf.New(ssrf.WithNetworks("tcp4", "tcp6"), ssrf.WithPorts(443))
	return func(network, address string, c syscall.RawConn) error {
		if err := guard.Safe(network, address, c); err != nil {
			return fmt.Errorf("%w: %w", errForbiddenAddress, err)
		}
		return nil
	}
}

// imageTransport sends requests to the trusted origin through the transport of
// the API and all others through the guarded one.
type imageTransport struct {
	origin           string
	trusted, guarded http.RoundTripper
}

func (t imageTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if originOf(r.URL) == t.origin {
		return t.trusted.RoundTrip(r)
	}
	return t.guarded.RoundTrip(r)
}

// CloseIdleConnections closes the idle connections of both transports.
func (t imageTransport) CloseIdleConnections() {
	for _, rt := range []http.RoundTripper{t.trusted, t.guarded} {
		if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// imageClient returns the client for downloads. It never sends the key. It uses
// no proxy outside the trusted origin, because the guard cannot check the
// address that a proxy connects to.
func imageClient(base *url.URL, trusted http.RoundTripper, connect time.Duration) *http.Client {
	if trusted == nil {
		trusted = http.DefaultTransport
	}
	dialer := &net.Dialer{Timeout: connect, Control: checkAddress()}
	origin := originOf(base)
	return &http.Client{
		Transport: imageTransport{origin: origin, trusted: trusted, guarded: &http.Transport{
			DialContext:           dialer.DialContext,
			TLSHandshakeTimeout:   connect,
			ResponseHeaderTimeout: 30 * time.Second,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   8,
			IdleConnTimeout:       15 * time.Second,
		}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			r.Header.Del("Referer") // net/http sets it to the link, which contains a signature
			if len(via) > maxRedirects {
				return fmt.Errorf("%w: more than %d redirects", errBadLink, maxRedirects)
			}
			return checkLink(r.URL, origin)
		},
	}
}

const maxRedirects = 3

var errBadLink = errors.New("the image link is not acceptable")

// checkLink fails unless a link is on the trusted origin or uses https on port
// 443. It also fails if the link has a user.
func checkLink(u *url.URL, origin string) error {
	switch {
	case u.User != nil || u.Host == "":
		return fmt.Errorf("%w: not a plain address", errBadLink)
	case originOf(u) == origin:
		return nil
	case u.Scheme != "https":
		return fmt.Errorf("%w: it is not https", errBadLink)
	case u.Port() != "" && u.Port() != "443":
		return fmt.Errorf("%w: port %s", errBadLink, u.Port())
	}
	return nil
}

// originOf returns the scheme, host and port of a URL (RFC 6454), with the port
// even if it is the default one.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port)
}
