package jobs

import (
	"errors"
	"slices"
	"sync"
)

// ErrBusy reports that too many images are waiting.
var ErrBusy = errors.New("too many images are waiting")

// queues holds one queue per model, because the service limits the requests in
// flight per model.
type queues struct {
	limit            func(model string) int // slots of a model
	perClient, total int                    // how many tickets may wait in each queue

	mu      sync.Mutex
	byModel map[string]*queue
}

func newQueues(limit func(model string) int, perClient, total int) *queues {
	return &queues{limit: limit, perClient: perClient, total: total, byModel: map[string]*queue{}}
}

// of returns the queue of a model. It creates the queue at the first call.
func (q *queues) of(model string) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byModel[model] == nil {
		q.byModel[model] = newQueue(max(q.limit(model), 1), q.perClient, q.total)
	}
	return q.byModel[model]
}

// length returns how many images wait for a slot of any model.
func (q *queues) length() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, queue := range q.byModel {
		n += queue.length()
	}
	return n
}

// queue grants slots for requests in flight. Tickets of one client are served
// in order, and clients take turns, so that a client with many images does not
// delay one with a single image.
type queue struct {
	perClient, total int // how many tickets may wait

	mu      sync.Mutex
	free    int                  // free slots; negative while occupy has taken more than there are
	turns   []string             // clients with waiting tickets, the next one first
	waiting map[string][]*ticket // by client
	count   int                  // of all waiting tickets
}

// ticket is a slot or a position in the queue.
type ticket struct {
	queue    *queue
	client   string
	ready    chan struct{} // closed when the ticket has a slot
	released bool
}

func newQueue(slots, perClient, total int) *queue {
	return &queue{free: slots, perClient: perClient, total: total, waiting: map[string][]*ticket{}}
}

// enter returns a ticket with a slot if one is free, and otherwise with a
// position in the queue. It fails with ErrBusy if too many tickets wait.
func (q *queue) enter(client string) (*ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &ticket{queue: q, client: client, ready: make(chan struct{})}
	if q.free > 0 {
		q.free--
		close(t.ready)
		return t, nil
	}
	if q.count >= q.total || len(q.waiting[client]) >= q.perClient {
		return nil, ErrBusy
	}
	if len(q.waiting[client]) == 0 {
		q.turns = append(q.turns, client)
	}
	q.waiting[client] = append(q.waiting[client], t)
	q.count++
	return t, nil
}

// occupy takes a slot, even if none is free, for a request that is already in
// flight. The next ticket gets a slot once fewer requests are in flight than
// the limit allows.
func (q *queue) occupy() *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free--
	t := &ticket{queue: q, ready: make(chan struct{})}
	close(t.ready)
	return t
}

// hasSlot reports whether the ticket has a slot.
func (t *ticket) hasSlot() bool {
	select {
	case <-t.ready:
		return true
	default:
		return false
	}
}

// release gives up the slot or the position. Later calls have no effect.
func (t *ticket) release() {
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case t.released:
	case t.hasSlot():
		q.free++
		q.next()
	default:
		q.drop(t)
	}
	t.released = true
}

// next gives a free slot to the next client in turn.
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

// drop removes a waiting ticket.
func (q *queue) drop(t *ticket) {
	list := q.waiting[t.client]
	at := slices.Index(list, t)
	if at < 0 {
		return
	}
	q.count--
	if q.waiting[t.client] = slices.Delete(list, at, at+1); len(q.waiting[t.client]) == 0 {
		delete(q.waiting, t.client)
		q.turns = slices.DeleteFunc(q.turns, func(client string) bool { return client == t.client })
	}
}

// ahead returns how many tickets get a slot before this one: 0 for the next
// ticket and for a ticket that does not wait.
func (t *ticket) ahead() int {
	q := t.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	own := slices.Index(q.waiting[t.client], t)
	if own < 0 {
		return 0
	}
	n, mine := own, slices.Index(q.turns, t.client)
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

// length returns how many tickets wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}
