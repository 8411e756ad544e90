package jobs

import (
	"errors"
	"slices"
	"sync"
)

// ErrBusy says that too much is waiting already.
var ErrBusy = errors.New("too many images are waiting")

// queues holds the queue of each model: the service limits the requests in
// flight per model.
type queues struct {
	limit            func(model string) int
	perClient, total int // how many may wait in each

	mu      sync.Mutex
	byModel map[string]*queue
}

func newQueues(limit func(model string) int, perClient, total int) *queues {
	return &queues{limit: limit, perClient: perClient, total: total, byModel: map[string]*queue{}}
}

// of returns the queue of a model.
func (q *queues) of(model string) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byModel[model] == nil {
		q.byModel[model] = newQueue(max(q.limit(model), 1), q.perClient, q.total)
	}
	return q.byModel[model]
}

// length returns how many images wait, of all models.
func (q *queues) length() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, queue := range q.byModel {
		n += queue.length()
	}
	return n
}

// queue gives out the slots for requests under way. What waits for one keeps
// its order within its client, and clients take turns, so that one with many
// images does not hold up another with a single one.
type queue struct {
	perClient, total int // how many may wait

	mu      sync.Mutex
	free    int
	turns   []string // clients with waiting places, the next first
	waiting map[string][]*place
	count   int
}

// place is a slot or a wait for one.
type place struct {
	queue  *queue
	client string
	ready  chan struct{} // closed with the slot
	left   bool
}

func newQueue(slots, perClient, total int) *queue {
	return &queue{free: slots, perClient: perClient, total: total, waiting: map[string][]*place{}}
}

// enter takes a slot, or a place in the queue.
func (q *queue) enter(client string) (*place, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := &place{queue: q, client: client, ready: make(chan struct{})}
	if q.free > 0 {
		q.free--
		close(p.ready)
		return p, nil
	}
	if q.count >= q.total || len(q.waiting[client]) >= q.perClient {
		return nil, ErrBusy
	}
	if len(q.waiting[client]) == 0 {
		q.turns = append(q.turns, client)
	}
	q.waiting[client] = append(q.waiting[client], p)
	q.count++
	return p, nil
}

// occupy takes a slot without waiting, for a request that is in flight already.
// The next one waits until there are fewer than the limit.
func (q *queue) occupy() *place {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free--
	p := &place{queue: q, ready: make(chan struct{})}
	close(p.ready)
	return p
}

// hasSlot reports whether the wait is over.
func (p *place) hasSlot() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

// leave gives slot or place back, once.
func (p *place) leave() {
	q := p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case p.left:
	case p.hasSlot():
		q.free++
		q.next()
	default:
		q.drop(p)
	}
	p.left = true
}

// next hands a free slot to whose turn it is.
func (q *queue) next() {
	if q.free <= 0 || len(q.turns) == 0 {
		return
	}
	client := q.turns[0]
	first := q.waiting[client][0]
	q.turns = q.turns[1:]
	if q.waiting[client] = q.waiting[client][1:]; len(q.waiting[client]) > 0 {
		q.turns = append(q.turns, client)
	} else {
		delete(q.waiting, client)
	}
	q.count--
	q.free--
	close(first.ready)
}

func (q *queue) drop(p *place) {
	list := q.waiting[p.client]
	at := slices.Index(list, p)
	if at < 0 {
		return
	}
	q.count--
	if q.waiting[p.client] = slices.Delete(list, at, at+1); len(q.waiting[p.client]) == 0 {
		delete(q.waiting, p.client)
		q.turns = slices.DeleteFunc(q.turns, func(client string) bool { return client == p.client })
	}
}

// before is how many get a slot before this place does, 0 for the next and for
// those that have one.
func (p *place) before() int {
	q := p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	own := slices.Index(q.waiting[p.client], p)
	if own < 0 {
		return 0
	}
	n, mine := own, slices.Index(q.turns, p.client)
	for turn, client := range q.turns {
		switch rounds := own; {
		case turn < mine:
			n += min(len(q.waiting[client]), rounds+1)
		case turn > mine:
			n += min(len(q.waiting[client]), rounds)
		}
	}
	return n
}

// length is how many wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}
