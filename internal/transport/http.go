package transport

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"golang.org/x/sync/semaphore"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
)

// HTTPConfig configures an HTTP.
type HTTPConfig struct {
	Handler       Handler
	Limits        limit.Limits
	SeveralOwners bool // bound one owner to a share of sessions and streams
	// Permit reports whether the caller may make a request. If not, it has
	// answered the HTTP request. Nil permits all requests.
	Permit     func(w http.ResponseWriter, r *http.Request, request *Request) bool
	BasePath   string        // path that a proxy in front removes, without a slash at the end
	RetryAfter time.Duration // pause before clients retry while the server ends
	Now        func() time.Time
	Log        *slog.Logger
}

// HTTP serves MCP over HTTP: Streamable HTTP and HTTP+SSE. Its handlers expect
// a Caller in the context of each request.
type HTTP struct {
	lifecycle
	limits      limit.Limits
	permit      func(w http.ResponseWriter, r *http.Request, request *Request) bool
	basePath    string
	retryAfter  time.Duration
	now         func() time.Time
	sessions    *sessions
	streams     *streams
	connections connections
	large       *semaphore.Weighted // large bodies being read or parsed

	mu      sync.Mutex
	work    sync.WaitGroup // unanswered requests
	stopped bool           // no further request is accepted
}

// NewHTTP returns an HTTP without sessions and streams.
func NewHTTP(c HTTPConfig) *HTTP {
	share := func(n int) int {
		if !c.SeveralOwners {
			return n
		}
		return max(n/limit.Share, 1)
	}
	if c.Permit == nil {
		c.Permit = func(http.ResponseWriter, *http.Request, *Request) bool { return true }
	}
	h := &HTTP{
		limits: c.Limits, permit: c.Permit, basePath: c.BasePath, retryAfter: c.RetryAfter, now: c.Now,
		sessions: &sessions{
			handler: c.Handler, limit: c.Limits.Sessions, perOwner: share(c.Limits.Sessions), idle: c.Limits.SessionIdle, handshake: c.Limits.Handshake,
			byID: map[string]*webSession{},
		},
		streams: newStreams(c.Limits.Streams, share(c.Limits.Streams)),
		large:   semaphore.NewWeighted(limit.LargeBodies),
	}
	inFlight := limit.NewQuota(limit.MaxInFlight, limit.MaxInFlight/limit.Share)
	h.lifecycle = lifecycle{
		handler: c.Handler, reads: limit.NewQueue(limit.WebReads, limit.WebReads/limit.Share), heartbeat: c.Limits.Heartbeat, running: &h.work, log: c.Log,
		admit: func(_ context.Context, r *Request) (func(), error) {
			release, ok := inFlight.Take(r.Client, weight(&r.Message))
			if !ok {
				return nil, errOverloaded
			}
			return release, nil
		},
	}
	return h
}

// forStreamable returns the lifecycle for Streamable HTTP: only tools/call and
// resources/read count as in flight.
func (h *HTTP) forStreamable() *lifecycle {
	l := h.lifecycle
	l.admit = func(wait context.Context, r *Request) (func(), error) {
		if r.is(mcp.MethodToolsCall) || r.is(mcp.MethodResourcesRead) {
			return h.admit(wait, r)
		}
		return func() {}, nil
	}
	return &l
}

// Sessions returns how many sessions are open.
func (h *HTTP) Sessions() int { return h.sessions.count() }

// Streams returns how many streams are open.
func (h *HTTP) Streams() int { return h.streams.count() }

// Sweep closes sessions that are idle, sessions and streams of principals that
// are not valid any more, and streams whose token has expired.
func (h *HTTP) Sweep(valid func(auth.Principal) bool) {
	h.streams.end(func(s *stream) bool { return !valid(s.principal) })
	h.streams.expire(h.now())
	h.sessions.sweep(h.now(), valid)
}

// addWork counts a request that must be answered before the server ends. It
// reports false if requests are no longer accepted.
func (h *HTTP) addWork() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return false
	}
	h.work.Add(1)
	return true
}

// Stopped reports whether StopAccepting was called.
func (h *HTTP) Stopped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopped
}

// StopAccepting refuses further requests, and ends streams that carry no
// responses, which would otherwise stay open.
func (h *HTTP) StopAccepting() {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.streams.close()
	for _, c := range h.connections.all() {
		c.session.requests.endSubscriptions()
	}
}

// Finish waits until all requests are answered, at most until ctx ends, and
// then ends all streams.
func (h *HTTP) Finish(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.work.Wait()
		for _, c := range h.connections.all() {
			c.work.Wait()
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		h.log.WarnContext(ctx, "cut off calls at the end of the grace period")
	}
	h.streams.end(func(*stream) bool { return true })
}

// connections are the open connections of HTTP+SSE by session id.
type connections struct {
	mu   sync.Mutex
	byID map[string]*connection
}

func (t *connections) add(c *connection) (remove func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID = map[string]*connection{}
	}
	t.byID[c.session.id] = c
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.byID, c.session.id)
	}
}

// find returns the connection with this id if it belongs to the owner, and
// keeps it open until done is called.
func (t *connections) find(p auth.Principal, id string) (c *connection, done func()) {
	t.mu.Lock()
	c = t.byID[id]
	t.mu.Unlock()
	if c == nil || c.session.owner != p.Owner {
		return nil, nil
	}
	c.session.expiry.show(p)
	done = c.session.expiry.begin()
	if c.base.Err() != nil { // ended before
		done()
		return nil, nil
	}
	return c, done
}

func (t *connections) all() (list []*connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.byID {
		list = append(list, c)
	}
	return list
}
