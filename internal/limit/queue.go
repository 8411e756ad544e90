package limit

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Queue bounds how many callers hold a place at once, in total and for each
// client. Further callers wait; a client at its own bound takes no place in the
// common queue, so it cannot hold up others.
type Queue struct {
	all       *semaphore.Weighted
	perClient int64

	mu       sync.Mutex
	byClient map[string]*clientQueue
}

type clientQueue struct {
	places *semaphore.Weighted
	users  int // that hold a place or wait for one
}

// NewQueue returns a Queue of total places. One client may hold perClient of
// them.
func NewQueue(total, perClient int) *Queue {
	return &Queue{all: semaphore.NewWeighted(int64(total)), perClient: int64(perClient), byClient: map[string]*clientQueue{}}
}

// Acquire waits for a place until ctx ends, and then returns its error.
// release must be called once.
func (q *Queue) Acquire(ctx context.Context, client string) (release func(), err error) {
	own := q.join(client)
	if err := own.places.Acquire(ctx, 1); err != nil {
		q.leave(client, own)
		return nil, err
	}
	if err := q.all.Acquire(ctx, 1); err != nil {
		own.places.Release(1)
		q.leave(client, own)
		return nil, err
	}
	return func() {
		q.all.Release(1)
		own.places.Release(1)
		q.leave(client, own)
	}, nil
}

func (q *Queue) join(client string) *clientQueue {
	q.mu.Lock()
	defer q.mu.Unlock()
	own := q.byClient[client]
	if own == nil {
		own = &clientQueue{places: semaphore.NewWeighted(q.perClient)}
		q.byClient[client] = own
	}
	own.users++
	return own
}

func (q *Queue) leave(client string, own *clientQueue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(q.byClient, client)
	}
}
