package jobs

import "time"

// Queue lets tests look at the order alone.
type Queue struct{ *queue }

// Place is a place in a Queue.
type Place = place

// NewQueue makes a queue.
func NewQueue(slots, perClient, total int) Queue { return Queue{newQueue(slots, perClient, total)} }

// Enter takes a place.
func (q Queue) Enter(client string) (*Place, error) { return q.enter(client) }

// Length is how many wait.
func (q Queue) Length() int { return q.length() }

// HasSlot reports whether the wait is over.
func (p *place) HasSlot() bool { return p.hasSlot() }

// Leave gives the place back.
func (p *place) Leave() { p.leave() }

// Before is how many come first.
func (p *place) Ahead() int { return p.before() }

// NextTry is when a download is tried again.
func NextTry(now, created time.Time) time.Time { return nextTry(now, created) }
