package gallery

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	attemptsAtOnce  = 10               // sign-ins of one address in quick succession
	attemptInterval = 10 * time.Second // after which one more is allowed
	maxAddresses    = 4096             // whose attempts are remembered; all others share one limit
)

// attempts limits how often each public address may try to sign in. Other addresses are not
// limited: behind a proxy all users have one, and anybody could keep them from signing in.
// It is safe for concurrent use.
type attempts struct {
	mu        sync.Mutex
	byAddress map[string]*rate.Limiter
	others    *rate.Limiter
}

func newAttempts() *attempts {
	return &attempts{byAddress: map[string]*rate.Limiter{}, others: newAttemptLimiter()}
}

func newAttemptLimiter() *rate.Limiter {
	return rate.NewLimiter(rate.Every(attemptInterval), attemptsAtOnce)
}

// allow reports whether a request may try to sign in.
func (a *attempts) allow(r *http.Request, now time.Time) bool {
	address, public := networkOf(r.RemoteAddr)
	if !public {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l, known := a.byAddress[address]
	if !known {
		if len(a.byAddress) >= maxAddresses {
			a.forget(now)
		}
		if len(a.byAddress) >= maxAddresses {
			return a.others.AllowN(now, 1)
		}
		l = newAttemptLimiter()
		a.byAddress[address] = l
	}
	return l.AllowN(now, 1)
}

// forget removes the addresses that made no attempt for a while.
func (a *attempts) forget(now time.Time) {
	for address, l := range a.byAddress {
		if l.TokensAt(now) >= attemptsAtOnce {
			delete(a.byAddress, address)
		}
	}
}

// networkOf returns the IP address of a client, or the network of an IPv6 address, because a
// client has at least all addresses of a /64. public is false for the addresses of local
// networks.
func networkOf(remote string) (network string, public bool) {
	const bits = 64
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote, true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host, true
	}
	ip = ip.Unmap().WithZone("")
	public = !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast()
	if prefix, err := ip.Prefix(bits); err == nil { // an IPv4 address is shorter
		return prefix.String(), public
	}
	return ip.String(), public
}
