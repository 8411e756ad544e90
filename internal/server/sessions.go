package server

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/server"
)

var (
	errManySessions = errors.New("too many sessions are open")
	errManyStreams  = errors.New("too many streams are open")
)

// webSession is a client's session over Streamable HTTP, as protocols before
// 2026-07-28 have it. It belongs to the owner that opened it.
type webSession struct {
	*session
	base context.Context //nolint:containedctx // the life of the session
	end  context.CancelFunc

	mu      sync.Mutex
	token   tokenDigest
	used    time.Time
	settled bool               // something came after the handshake
	stream  context.CancelFunc // ends the open GET stream, nil without one
}

// sessions is the table of open ones.
type sessions struct {
	mcp      *server.MCPServer
	limit    int
	perOwner int
	idle     time.Duration

	mu   sync.Mutex
	byID map[string]*webSession
}

// halfOpen is how long a session stays that was opened and never used.
const halfOpen = time.Minute

// open makes a session for the caller of ctx, whose values it keeps. Clients
// seldom close the sessions that they leave, so when there is no room the one
// that is idle longest makes place. Its client, should it come back, begins
// again, as the protocol has it.
func (t *sessions) open(ctx context.Context, now time.Time) (*webSession, error) {
	const buffer = 64 // notifications until a stream is open
	c := callerOf(ctx)
	s := &webSession{session: newSession(rand.Text(), c.owner, buffer), token: c.token, used: now}
	s.base, s.end = context.WithCancel(context.WithoutCancel(ctx))
	t.mu.Lock()
	idle, err := t.makeRoom(c.owner)
	if err == nil {
		t.byID[s.id] = s
	}
	t.mu.Unlock()
	if err != nil {
		s.end()
		return nil, err
	}
	if idle != nil {
		t.close(idle)
	}
	if err := t.mcp.RegisterSession(ctx, s.session); err != nil {
		t.close(s)
		return nil, err
	}
	return s, nil
}

// makeRoom takes the session that has to be closed for a new one of an owner
// out of the table and returns it; nil when there is room. An owner makes room
// with its own sessions, or takes it from those that have more than itself.
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

// idlest is the session that is idle longest of some owners, nil when all are
// busy.
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

// lastUsed tells since when a session is idle, and whether it is not.
func (s *webSession) lastUsed() (at time.Time, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.stream != nil || s.calls.busy() > 0
}

// find gives the session with this id if it is the owner's. What uses it, other
// than the end of the handshake, makes it stay longer.
func (t *sessions) find(owner, id string, now time.Time, uses bool) *webSession {
	t.mu.Lock()
	defer t.mu.Unlock() // so that no sweep comes between
	s := t.byID[id]
	if s == nil || s.owner != owner {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used, s.settled = now, s.settled || uses
	return s
}

// close ends a session with all that is under way in it. What is paid for is
// still brought home.
func (t *sessions) close(s *webSession) {
	t.mu.Lock()
	delete(t.byID, s.id)
	t.mu.Unlock()
	s.end()
	s.calls.endAll()
	t.mcp.UnregisterSession(s.base, s.id)
}

// sweep closes what is idle for too long or not allowed any more.
func (t *sessions) sweep(now time.Time, allowed func(tokenDigest) bool) {
	t.mu.Lock()
	var over []*webSession
	for _, s := range t.byID {
		if s.over(now, t.idle) || !allowed(s.token) {
			over = append(over, s)
			delete(t.byID, s.id)
		}
	}
	t.mu.Unlock()
	for _, s := range over {
		t.close(s)
	}
}

func (s *webSession) over(now time.Time, idle time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil || s.calls.busy() > 0 {
		s.used = now
		return false
	}
	if !s.settled {
		idle = min(idle, halfOpen)
	}
	return now.Sub(s.used) >= idle
}

// takeStream makes a stream the one that notifications go to. The one before
// ends: a client that reconnects is ahead of the news that its old connection
// is dead.
func (s *webSession) takeStream(end context.CancelFunc) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil {
		s.stream()
	}
	current := true
	s.stream = func() {
		current = false
		end()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if current {
			s.stream = nil
		}
	}
}

func (t *sessions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}

// streams are the answers that stay open until their client or the server
// ends: of GET, of HTTP+SSE, and of subscriptions.
type streams struct {
	limit    int
	perOwner int

	mu     sync.Mutex
	open   map[*stream]struct{}
	closed bool
}

// close takes no more streams and ends those that carry no answers.
func (t *streams) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.end(func(s *stream) bool { return !s.answers })
}

type stream struct {
	cancel  context.CancelFunc
	caller  caller
	answers bool // answers to requests go through it, not notifications alone
}

// begin counts a stream until its end, which is called when the stream is not
// wanted any more.
func (t *streams) begin(c caller, answers bool, cancel context.CancelFunc) (done func(), err error) {
	s := &stream{cancel, c, answers}
	t.mu.Lock()
	defer t.mu.Unlock()
	own := 0
	for other := range t.open {
		if other.caller.owner == c.owner {
			own++
		}
	}
	switch {
	case t.closed:
		return nil, errEnding
	case len(t.open) >= t.limit || own >= t.perOwner:
		return nil, errManyStreams
	}
	t.open[s] = struct{}{}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.open, s)
	}, nil
}

// end ends those streams that which says.
func (t *streams) end(which func(*stream) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.open {
		if which(s) {
			s.cancel()
		}
	}
}

func (t *streams) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}
