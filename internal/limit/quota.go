package limit

import "sync"

// Quota bounds a resource in total and for each client. A request that does
// not fit is refused; nothing waits.
type Quota struct {
	total, perClient int

	mu       sync.Mutex
	used     int
	byClient map[string]int
}

// NewQuota returns a Quota of total units. One client may hold perClient of
// them.
func NewQuota(total, perClient int) *Quota {
	return &Quota{total: total, perClient: perClient, byClient: map[string]int{}}
}

// Take reserves n units for a client. It reports false if fewer are left.
// release returns them and must be called once.
func (q *Quota) Take(client string, n int) (release func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.used+n > q.total || q.byClient[client]+n > q.perClient {
		return nil, false
	}
	q.used += n
	q.byClient[client] += n
	return func() { q.give(client, n) }, true
}

// Used returns how many units are taken.
func (q *Quota) Used() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.used
}

func (q *Quota) give(client string, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= n
	if q.byClient[client] -= n; q.byClient[client] == 0 {
		delete(q.byClient, client)
	}
}
