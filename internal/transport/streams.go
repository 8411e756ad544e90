package transport

import (
	"context"
	"errors"
	"sync"
	"time"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
)

var errManyStreams = errors.New("too many streams are open")

// streams are the answers that stay open until their client or the server ends
// them: of GET, of HTTP+SSE, and of subscriptions over Streamable HTTP.
type streams struct {
	quota *limit.Quota // by owner

	mu     sync.Mutex
	open   map[*stream]struct{}
	closed bool
}

type stream struct {
	cancel    context.CancelFunc
	principal auth.Principal
	session   *session // that the stream belongs to
	responses bool     // carries responses to requests, not notifications alone
}

func newStreams(total, perOwner int) *streams {
	return &streams{quota: limit.NewQuota(total, perOwner), open: map[*stream]struct{}{}}
}

// begin counts a stream until done is called. cancel is called to end it.
func (t *streams) begin(s *stream) (done func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errEnding
	}
	release, ok := t.quota.Take(s.principal.Owner, 1)
	if !ok {
		return nil, errManyStreams
	}
	t.open[s] = struct{}{}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.open, s)
		release()
	}, nil
}

// close takes no more streams and ends those that carry no responses.
func (t *streams) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.end(func(s *stream) bool { return !s.responses })
}

// end ends the streams that match.
func (t *streams) end(matches func(*stream) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.open {
		if matches(s) {
			s.cancel()
		}
	}
}

// expire ends the streams of sessions whose newest token has expired.
func (t *streams) expire(now time.Time) {
	t.end(func(s *stream) bool {
		s.session.expiry.end(now, s.cancel)
		return false
	})
}

func (t *streams) count() int { return t.quota.Used() }
