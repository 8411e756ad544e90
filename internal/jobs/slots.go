package jobs

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrBusy reports that too many images are waiting.
var ErrBusy = errors.New("too many images are waiting")

// queues holds one queue per model, because the service limits the requests in
// flight per model.
type queues struct {
	perClient, total int // how many images may wait in each queue

	mu      sync.Mutex
	byModel map[string]*queue
}

func newQueues(perClient, total int) *queues {
	return &queues{perClient: perClient, total: total, byModel: map[string]*queue{}}
}

// of returns the queue of a model. It creates the queue at the first call.
func (q *queues) of(model string) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byModel[model] == nil {
		q.byModel[model] = &queue{
			model: model, perClient: q.perClient, total: q.total, changed: make(chan struct{}, 1),
			clients: map[string]int{}, places: map[*Job]bool{}, waiting: map[*Job]int{},
		}
	}
	return q.byModel[model]
}

// all returns the queues of all models.
func (q *queues) all() (list []*queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, queue := range q.byModel {
		list = append(list, queue)
	}
	return list
}

// wake makes the dispatcher of a model ask for slots.
func (q *queues) wake(model string) { q.of(model).wake() }

// length returns how many images wait for a slot of any model.
func (q *queues) length() (n int) {
	for _, queue := range q.all() {
		n += queue.length()
	}
	return n
}

// queue is the part of a model's queue that this process knows: its own images.
// The catalog holds the slots and the whole queue, and decides who is next.
type queue struct {
	model            string
	perClient, total int           // how many images may wait
	changed          chan struct{} // holds a signal if slots may have become free
	granting         sync.Mutex    // held while the catalog gives slots; locked before mu

	mu          sync.Mutex
	clients     map[string]int // number of places by client
	places      map[*Job]bool  // jobs that wait, or whose reservation is in progress
	waiting     map[*Job]int   // jobs that wait for a slot, with the number of images before them
	dispatching bool
}

// enter takes a place in the queue for a job that is about to be reserved. It fails
// with ErrBusy if too many images wait.
func (q *queue) enter(j *Job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.places) >= q.total || q.clients[j.client] >= q.perClient {
		return ErrBusy
	}
	q.places[j] = true
	q.clients[j.client]++
	return nil
}

// leave gives up the place of a job. Later calls have no effect.
func (q *queue) leave(j *Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.places[j] {
		return
	}
	delete(q.places, j)
	delete(q.waiting, j)
	if q.clients[j.client]--; q.clients[j.client] == 0 {
		delete(q.clients, j.client)
	}
}

// wait adds a job whose image is queued in the catalog.
func (q *queue) wait(j *Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.places[j] {
		q.waiting[j] = 0
	}
}

// wake makes the dispatcher ask for slots.
func (q *queue) wake() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// ahead returns how many images get a slot before that of a job.
func (q *queue) ahead(j *Job) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting[j]
}

// length returns how many jobs wait for a slot.
func (q *queue) length() int { return len(q.list()) }

// list returns the jobs that wait for a slot.
func (q *queue) list() (list []*Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for j := range q.waiting {
		list = append(list, j)
	}
	return list
}

// grant asks the catalog for slots and gives them to the jobs.
func (p *Pipeline) grant(q *queue) error {
	q.granting.Lock()
	defer q.granting.Unlock()
	list := q.list()
	if len(list) == 0 {
		return nil
	}
	since := p.wallClock() // read before the write to the catalog, which may take long: the leases start no earlier
	grant, err := p.catalog.Grant(p.base, q.model, p.slots(q.model), p.lease())
	if err != nil {
		return err
	}
	for _, id := range grant.Granted {
		if j := p.Find(id); j != nil { // it may not wait yet
			j.grant(since)
		}
	}
	q.move(list, grant.Ahead)
	return nil
}

// move records how many images are before those of the jobs. A job whose image is
// not queued any more, without having got a slot, checks its row: the answer to an
// earlier grant was lost, or another process took the image over.
func (q *queue) move(list []*Job, ahead map[string]int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range list {
		n, queued := ahead[j.id]
		if _, waits := q.waiting[j]; waits && queued {
			q.waiting[j] = n
		}
		if !queued {
			j.grant(time.Time{})
		}
	}
}

// dispatch starts the dispatcher of a queue unless it runs or no job waits. It asks
// for slots when some may have become free, and from time to time because the lease
// of another process may end. It ends when no job waits.
func (p *Pipeline) dispatch(q *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.dispatching && len(q.waiting) > 0 {
		q.dispatching = p.inBackground(func() {
			for pause := p.GrantInterval; q.awaits(p.base, pause); {
				err := p.grant(q)
				if err != nil && pause == p.GrantInterval && p.base.Err() == nil {
					p.Log.Warn("failed to ask for slots", "model", q.model, "error", err)
				}
				if pause = p.GrantInterval; err != nil {
					pause = failedGrantPauses * p.GrantInterval
				}
			}
		})
	}
}

// failedGrantPauses is the pause between requests for slots while the catalog fails,
// as a multiple of GrantInterval.
const failedGrantPauses = 10

// awaits waits until slots may have become free or the pause is over. It returns
// false, and the dispatcher ends, if no job waits or ctx ends.
func (q *queue) awaits(ctx context.Context, pause time.Duration) bool {
	q.mu.Lock()
	if len(q.waiting) == 0 {
		q.dispatching = false
	}
	dispatching := q.dispatching
	q.mu.Unlock()
	if !dispatching {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-q.changed:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}
