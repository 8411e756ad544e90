package zai

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// specialRanges returns the addresses that an image link must not lead to: all
// blocks of the IANA special-purpose registries that are not globally
// reachable, and those that tunnel to other addresses. The predicates of netip
// miss half of them.
func specialRanges() []netip.Prefix {
	var list []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8",         // this network (RFC 791)
		"10.0.0.0/8",        // private (RFC 1918)
		"100.64.0.0/10",     // shared, carrier NAT, also cloud metadata (RFC 6598)
		"127.0.0.0/8",       // loopback (RFC 1122)
		"169.254.0.0/16",    // link local, cloud metadata (RFC 3927)
		"172.16.0.0/12",     // private (RFC 1918)
		"192.0.0.0/24",      // protocol assignments (RFC 6890)
		"192.0.2.0/24",      // documentation (RFC 5737)
		"192.31.196.0/24",   // AS112 (RFC 7535)
		"192.52.193.0/24",   // AMT (RFC 7450)
		"192.88.99.0/24",    // 6to4 relays (RFC 7526)
		"192.168.0.0/16",    // private (RFC 1918)
		"192.175.48.0/24",   // AS112 (RFC 7534)
		"198.18.0.0/15",     // benchmarks (RFC 2544)
		"198.51.100.0/24",   // documentation (RFC 5737)
		"203.0.113.0/24",    // documentation (RFC 5737)
		"224.0.0.0/4",       // multicast (RFC 1112)
		"240.0.0.0/4",       // reserved, with broadcast (RFC 1112)
		"::/128",            // unspecified (RFC 4291)
		"::1/128",           // loopback (RFC 4291)
		"::/96",             // IPv4-compatible, deprecated (RFC 4291)
		"::ffff:0:0/96",     // IPv4-mapped (RFC 4291), after unmapping
		"::ffff:0:0:0/96",   // IPv4-translated (RFC 2765)
		"64:ff9b::/96",      // NAT64 (RFC 6052)
		"64:ff9b:1::/48",    // local NAT64 (RFC 8215)
		"100::/64",          // discard (RFC 6666)
		"100:0:0:1::/64",    // dummy prefix (RFC 9780)
		"2001::/23",         // protocol assignments, with Teredo (RFC 2928)
		"2001:db8::/32",     // documentation (RFC 3849)
		"2002::/16",         // 6to4 (RFC 3056)
		"2620:4f:8000::/48", // AS112 (RFC 7534)
		"3fff::/20",         // documentation (RFC 9637)
		"5f00::/16",         // segment routing (RFC 9602)
		"fc00::/7",          // unique local (RFC 4193)
		"fe80::/10",         // link local (RFC 4291)
		"fec0::/10",         // site local, deprecated (RFC 3879)
		"ff00::/8",          // multicast (RFC 4291)
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

var errForbiddenAddress = errors.New("the link leads to an address that is not public")

// addressGuard refuses connections to anything but public addresses. It checks
// the address that is dialled, after name resolution, so that neither unusual
// spellings nor changing DNS records get around it.
type addressGuard struct{ forbidden []netip.Prefix }

func (g addressGuard) control(network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: %s", errForbiddenAddress, address)
	}
	if target.Port() != 443 {
		return fmt.Errorf("%w: port %d", errForbiddenAddress, target.Port())
	}
	addr := target.Addr().Unmap().WithZone("")
	for _, prefix := range g.forbidden {
		if prefix.Contains(addr) {
			return fmt.Errorf("%w: %s", errForbiddenAddress, addr)
		}
	}
	return nil
}

// imageTransport sends requests for the trusted origin through the API's own
// transport and all others through the guarded one.
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

// CloseIdleConnections closes those of both transports.
func (t imageTransport) CloseIdleConnections() {
	for _, rt := range []http.RoundTripper{t.trusted, t.guarded} {
		if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// imageClient returns the client for downloads. It never sends the key, and never
// uses a proxy for foreign hosts, because the guard cannot check the address
// that a proxy connects to.
func imageClient(base *url.URL, trusted http.RoundTripper, connect time.Duration) *http.Client {
	if trusted == nil {
		trusted = http.DefaultTransport
	}
	guard := addressGuard{forbidden: specialRanges()}
	dialer := &net.Dialer{Timeout: connect, Control: guard.control}
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
			r.Header.Del("Referer") // set by net/http to the link, which carries a signature
			if len(via) > maxRedirects {
				return fmt.Errorf("%w: more than %d redirects", errBadLink, maxRedirects)
			}
			return checkLink(r.URL, origin)
		},
	}
}

const maxRedirects = 3

var errBadLink = errors.New("the image link is not acceptable")

// checkLink accepts https links without user part, and anything on the trusted
// origin.
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

// originOf returns scheme, host and port of a URL (RFC 6454), always with the
// port.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port)
}
