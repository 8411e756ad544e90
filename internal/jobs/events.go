package jobs

import (
	"runtime/debug"
	"slices"

	"zai-image-mcp/resources"
)

// Event reports that an image is done: saved or failed.
type Event struct {
	Image   resources.Image
	Resumed bool // the job resumed the image: it sent no request for it
	Remote  bool // another process finished the image
}

// Subscribe registers fn, which is called once for each job or remote image
// that is done; for remote images only after Watch. An image whose download failed
// is reported again when it is fetched later. fn is called without locks held, after the job's Done channel
// is closed, and Drain waits for it. cancel ends the subscription.
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

// notify calls one subscriber and recovers from a panic, which must not end the
// program.
func (p *Pipeline) notify(s *subscriber, e Event) {
	defer func() {
		if value := recover(); value != nil {
			p.Log.Error("recovered a panic in a subscriber", "id", e.Image.ID, "panic", value, "stack", string(debug.Stack()))
		}
	}()
	s.fn(e)
}

// publishChange publishes an image that another process has finished.
func (p *Pipeline) publishChange(c resources.Change) {
	if c.State.Working() {
		return
	}
	i, err := p.Library.Image(p.base, c.Owner, c.ID)
	switch {
	case err != nil: // it was removed, or cannot be read now
		i = resources.Image{ID: c.ID, Owner: c.Owner, State: c.State}
	case i.State != c.State:
		return // it has changed since, which is another change
	}
	p.publish(Event{Image: i, Remote: true})
}
