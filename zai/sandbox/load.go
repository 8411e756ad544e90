package sandbox

import (
	"strings"
	"sync"
	"time"
)

// Unlimited is the Options.MaxConcurrent of a sandbox that accepts any number
// of requests at the same time.
const Unlimited = -1

// load holds the requests in flight, by model. A synchronous request is in
// flight until its response, a task until it is finished.
type load struct {
	mu      sync.Mutex
	flights map[string]map[*flight]struct{}
	most    map[string]int
}

// flight is one request in flight. end is when its task finishes, and zero
// until that is known.
type flight struct {
	model string
	end   time.Time
}

// enter adds a request. It returns nil if limit requests of the model are
// already in flight. A limit below 1 means no limit.
func (l *load) enter(model string, limit int, now time.Time) *flight {
	model = strings.ToLower(model)
	l.mu.Lock()
	defer l.mu.Unlock()
	running := l.flights[model]
	if running == nil {
		running = map[*flight]struct{}{}
		l.flights[model] = running
	}
	for f := range running {
		if !f.end.IsZero() && !f.end.After(now) {
			delete(running, f)
		}
	}
	if limit >= 1 && len(running) >= limit {
		return nil
	}
	f := &flight{model: model}
	running[f] = struct{}{}
	l.most[model] = max(l.most[model], len(running))
	return f
}

// leave removes a request at the given time, or at once if the time is zero.
func (l *load) leave(f *flight, end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.end = end; end.IsZero() {
		delete(l.flights[f.model], f)
	}
}

// MostInFlight returns the largest number of a model's requests that were in
// flight at the same time. Requests refused with code 1302 do not count.
func (s *Sandbox) MostInFlight(model string) int {
	s.load.mu.Lock()
	defer s.load.mu.Unlock()
	return s.load.most[strings.ToLower(model)]
}

// Refused returns the number of requests that were refused because too many
// requests of their model were in flight.
func (s *Sandbox) Refused() int64 { return s.refused.Load() }

// limit returns the largest number of requests of a model in flight.
func (s *Sandbox) limit(model string) int {
	if s.options.MaxConcurrent != 0 {
		return s.options.MaxConcurrent
	}
	return rules()[strings.ToLower(model)].maxConcurrent
}
