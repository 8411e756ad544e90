package jobs

import (
	"runtime/debug"
	"slices"

	"zai-image-mcp/resources"
)

// Event reports that an image is done: saved, or given up.
type Event struct {
	Image   resources.Image
	Resumed bool // started by an earlier process
	Remote  bool // made by another process
}

// Subscribe registers fn, which is called once for each image that is done. The
// job's own goroutine calls it, without locks held, after the job's Done
// channel is closed; Drain waits for it. cancel ends the subscription.
func (p *Pipeline) Subscribe(fn func(Event)) (cancel func()) {
	s := &subscriber{fn}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subscribers = append(p.subscribers, s)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.subscribers = slices.DeleteFunc(slices.Clone(p.subscribers), func(other *subscriber) bool { return other == s })
	}
}

type subscriber struct{ fn func(Event) }

// publish calls the subscribers if the image is done.
func (p *Pipeline) publish(e Event) {
	if e.Image.Working() {
		return
	}
	p.mu.Lock()
	subscribers := slices.Clone(p.subscribers)
	p.mu.Unlock()
	for _, s := range subscribers {
		p.notify(s, e)
	}
}

// notify calls one subscriber. A panic there must not end the program.
func (p *Pipeline) notify(s *subscriber, e Event) {
	defer func() {
		if value := recover(); value != nil {
			p.Log.Error("recovered a panic in a subscriber", "id", e.Image.ID, "panic", value, "stack", string(debug.Stack()))
		}
	}()
	s.fn(e)
}

// Detach makes calls that wait for their images return at once with the ids.
// The work goes on. Later calls have no effect.
func (p *Pipeline) Detach() { p.detach() }

// Detached returns a channel that is closed by Detach.
func (p *Pipeline) Detached() <-chan struct{} { return p.detached }
