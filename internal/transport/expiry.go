package transport

import (
	"sync"
	"time"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
)

// expiry decides when the streams of a session end: some time after the newest
// token that was shown for the session has expired, but not while a call is
// under way. Its zero value never ends them.
type expiry struct {
	mu    sync.Mutex
	at    time.Time // zero if the principals of the session do not expire
	calls int       // under way
}

// show records the principal of a request of the session.
func (e *expiry) show(p auth.Principal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.Expires.After(e.at) {
		e.at = p.Expires
	}
}

// begin records that a call is under way until done is called.
func (e *expiry) begin() (done func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.calls--
	}
}

// end calls cancel if the streams must end. No call can begin in between.
func (e *expiry) end(now time.Time, cancel func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.at.IsZero() && e.calls == 0 && !now.Before(e.at.Add(limit.ExpiryGrace)) {
		cancel()
	}
}
