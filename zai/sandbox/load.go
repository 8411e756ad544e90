package sandbox

import (
	"strings"
	"sync"
	"time"
)

// Unlimited is the MaxConcurrent of a sandbox that takes any number of
// requests at once.
const Unlimited = -1

// load is what is in flight, by model. A synchronous request is in flight
// until it is answered, a task until it is finished.
type load struct {
	mu      sync.Mutex
	flights map[string]map[*flight]struct{}
	most    map[string]int
}

// flight is one request. end is when its task finishes; it is zero for as long
// as that is not known.
type flight struct {
	model string
	end   time.Time
}

// enter takes a request, or nil when limit requests of the model are in
// flight. No limit is below one.
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

// leave ends a request at the given time, at once when that is zero.
func (l *load) leave(f *flight, end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.end = end; end.IsZero() {
		delete(l.flights[f.model], f)
	}
}

// MostInFlight is the largest number of a model's requests that were in flight
// at the same time. Requests refused with code 1302 do not count.
func (s *Sandbox) MostInFlight(model string) int {
	s.load.mu.Lock()
	defer s.load.mu.Unlock()
	return s.load.most[strings.ToLower(model)]
}

// Refused counts the requests that were refused because too many of their
// model were in flight.
func (s *Sandbox) Refused() int64 { return s.refused.Load() }

// limit is how many requests of a model are taken at once.
func (s *Sandbox) limit(model string) int {
	if s.options.MaxConcurrent != 0 {
		return s.options.MaxConcurrent
	}
	return rules()[strings.ToLower(model)].maxConcurrent
}
