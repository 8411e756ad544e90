package jobs

import "time"

// Queue exposes queue to tests.
type Queue struct{ *queue }

// Ticket is a ticket of a Queue.
type Ticket = ticket

// NewQueue returns a queue.
func NewQueue(slots, perClient, total int) Queue { return Queue{newQueue(slots, perClient, total)} }

// Enter returns a new ticket.
func (q Queue) Enter(client string) (*Ticket, error) { return q.enter(client) }

// Length returns how many tickets wait.
func (q Queue) Length() int { return q.length() }

// HasSlot reports whether the ticket has a slot.
func (t *ticket) HasSlot() bool { return t.hasSlot() }

// Release gives the ticket back.
func (t *ticket) Release() { t.release() }

// Ahead returns how many tickets get a slot before this one.
func (t *ticket) Ahead() int { return t.ahead() }

// NextTry returns when to fetch an image again.
func NextTry(now, created time.Time) time.Time { return nextTry(now, created) }
