package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
)

var errManySessions = errors.New("too many sessions are open")

// webSession is a session over Streamable HTTP in protocols before 2026-07-28.
// It belongs to the owner that opened it.
type webSession struct {
	*session
	principal auth.Principal

	mu     sync.Mutex
	used   time.Time
	active bool        // used after the handshake
	closed bool        // no stream may open any more
	stream *openStream // of GET, nil without one
}

// openStream is the stream that a session's notifications go to.
type openStream struct{ cancel context.CancelFunc }

// sessions is the table of open sessions.
type sessions struct {
	handler   Handler
	limit     int
	perOwner  int
	idle      time.Duration // after which a session is closed
	handshake time.Duration // after which a session is closed that was not used since its handshake

	mu   sync.Mutex
	byID map[string]*webSession
}

// open opens a session for the caller of ctx. Clients seldom close their
// sessions, so if there is no room, the session that has been idle longest is
// closed. If its client returns, it starts a new one, as the protocol requires.
func (t *sessions) open(ctx context.Context, now time.Time) (*webSession, error) {
	c := callerFrom(ctx)
	s := &webSession{session: newSession(rand.Text(), c.Owner, limit.SessionNotifications), principal: c.Principal, used: now}
	s.expiry.show(c.Principal)
	t.mu.Lock()
	idle, err := t.makeRoom(c.Owner)
	if err == nil {
		t.byID[s.id] = s
	}
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if idle != nil {
		t.close(idle)
	}
	if err := t.handler.OpenSession(ctx, s.session); err != nil {
		t.close(s)
		return nil, err
	}
	return s, nil
}

// makeRoom removes and returns the session that must be closed before an owner
// can open one, nil if there is room. It takes a session of the owner, else one
// of an owner that has more sessions.
func (t *sessions) makeRoom(owner string) (*webSession, error) {
	count := map[string]int{}
	for _, s := range t.byID {
		count[s.owner]++
	}
	own := count[owner]
	if len(t.byID) < t.limit && own < t.perOwner {
		return nil, nil //nolint:nilnil // nothing has to be closed
	}
	idle := t.idlest(func(other string) bool { return other == owner })
	if idle == nil && own < t.perOwner {
		idle = t.idlest(func(other string) bool { return count[other] > own+1 })
	}
	if idle == nil {
		return nil, errManySessions
	}
	delete(t.byID, idle.id)
	return idle, nil
}

// idlest returns the session that has been idle longest among those of the
// matching owners, nil if all are busy.
func (t *sessions) idlest(of func(owner string) bool) (longest *webSession) {
	var since time.Time
	for _, s := range t.byID {
		if !of(s.owner) {
			continue
		}
		if used, busy := s.lastUsed(); !busy && (longest == nil || used.Before(since)) {
			longest, since = s, used
		}
	}
	return longest
}

// lastUsed returns when a session was last used, and whether it is in use now.
func (s *webSession) lastUsed() (at time.Time, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.isBusy()
}

func (s *webSession) isBusy() bool { return s.stream != nil || s.requests.count() > 0 }

// find returns the session with this id if it belongs to the owner. uses is
// false for the end of the handshake: a session that is not used after it is
// closed sooner.
func (t *sessions) find(p auth.Principal, id string, now time.Time, uses bool) *webSession {
	t.mu.Lock()
	defer t.mu.Unlock() // so that no sweep comes between
	s := t.byID[id]
	if s == nil || s.owner != p.Owner {
		return nil
	}
	s.expiry.show(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used, s.active = now, s.active || uses
	return s
}

// close ends a session with its stream and its requests. Images that are paid
// for are still saved.
func (t *sessions) close(s *webSession) {
	t.mu.Lock()
	delete(t.byID, s.id)
	t.mu.Unlock()
	s.mu.Lock()
	s.closed = true
	if s.stream != nil {
		s.stream.cancel()
	}
	s.mu.Unlock()
	s.requests.close()
	t.handler.CloseSession(context.Background(), s.session)
}

// sweep closes the sessions that are idle or whose principal is not valid any
// more.
func (t *sessions) sweep(now time.Time, valid func(auth.Principal) bool) {
	t.mu.Lock()
	var expired []*webSession
	for _, s := range t.byID {
		if t.isExpired(s, now) || !valid(s.principal) {
			expired = append(expired, s)
			delete(t.byID, s.id)
		}
	}
	t.mu.Unlock()
	for _, s := range expired {
		t.close(s)
	}
}

func (t *sessions) isExpired(s *webSession, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isBusy() {
		s.used = now
		return false
	}
	idle := t.idle
	if !s.active {
		idle = min(idle, t.handshake)
	}
	return now.Sub(s.used) >= idle
}

// replaceStream directs notifications to a stream and ends the one before: a
// client may reconnect before the server detects that the old connection is
// dead.
func (s *webSession) replaceStream(cancel context.CancelFunc) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil {
		s.stream.cancel()
	}
	own := &openStream{cancel}
	s.stream = own
	if s.closed {
		cancel()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stream == own {
			s.stream = nil
		}
	}
}

func (t *sessions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}
