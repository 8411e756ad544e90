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
// that is done. An image whose download failed is reported again when it is
// fetched later. fn is called without locks held, after the job's Done channel
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
		p.mu.Lock()
		p.published.remove(c.ID) // it is published again when it is done
		p.mu.Unlock()
		return
	}
	i, err := p.Library.Image(p.base, c.Owner, c.ID)
	if err != nil { // removed, or to be read by whoever is told
		i = resources.Image{ID: c.ID, Owner: c.Owner, State: c.State}
	}
	p.publishRemote(i)
}

// publishRemote publishes an image that another process has finished, once. An
// image that this process works on is published by its job.
func (p *Pipeline) publishRemote(i resources.Image) {
	p.mu.Lock()
	known := i.Working() || p.running[i.ID] != nil || p.published.has(i)
	if !known {
		p.published.add(i)
	}
	p.mu.Unlock()
	if !known {
		p.publish(Event{Image: i, Remote: true})
	}
}

// maxPublished is how many published images are remembered.
const maxPublished = 1000

// published holds the states in which images were published last.
type published struct {
	states map[string]resources.State // by image id
	order  []string                   // ids, the oldest first
}

func (l *published) has(i resources.Image) bool { return l.states[i.ID] == i.State }

func (l *published) add(i resources.Image) {
	if i.Working() {
		return
	}
	if _, ok := l.states[i.ID]; !ok {
		l.order = append(l.order, i.ID)
	}
	l.states[i.ID] = i.State
	if len(l.order) > maxPublished {
		delete(l.states, l.order[0])
		l.order = l.order[1:]
	}
}

func (l *published) remove(id string) {
	if _, ok := l.states[id]; ok {
		l.states[id] = ""
	}
}
