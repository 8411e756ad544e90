package jobs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"zai-image-mcp/resources"
)

// step is the only way in which a job moves: it writes the changed image to the
// catalog, and then updates the job and tells its watchers.
//
// With a guard, an error means that the job has not moved: errLeaseLost if the row
// does not meet the guard. Without one the job moves in any case, because its image
// is or may be paid for; a row that cannot be written is written later, and
// ErrSettled means that the row has newer data.
func (p *Pipeline) step(j *Job, phase Phase, guard resources.Guard, change func(*resources.Image)) error {
	before := j.Image()
	i := before
	change(&i)
	err := p.record(i, guard)
	if err != nil && guard.From != "" {
		return err
	}
	j.set(i)
	if holdsSlot(before.State) && !holdsSlot(i.State) {
		p.queues.wake(i.Model)
	}
	if phase != unchanged {
		j.enter(phase)
	}
	return err
}

// holdsSlot reports whether the row of an image of this process may hold a slot.
func holdsSlot(s resources.State) bool { return s == resources.Queued || s.InFlight() }

// record writes an image to the catalog, even during shutdown. An image that
// cannot be written is kept and written later, unless it has a guard.
func (p *Pipeline) record(i resources.Image, guard resources.Guard) error {
	err := p.lockedWrite(i, guard)
	switch {
	case errors.Is(err, resources.ErrSettled) && guard.From != "":
		return errLeaseLost
	case err != nil && !errors.Is(err, resources.ErrSettled):
		p.Log.Error("failed to record a step", "id", i.ID, "state", string(i.State), "link", i.UpstreamURL, "error", err)
	}
	return err
}

func (p *Pipeline) lockedWrite(i resources.Image, guard resources.Guard) error {
	lock := p.writeLock(i.ID)
	lock.Lock()
	defer lock.Unlock() // also after a panic, which does not end the program
	return p.write(i, guard)
}

// writeLock returns the lock that the writes of an image share with those of some
// others.
func (p *Pipeline) writeLock(id string) *sync.Mutex {
	last := 0
	if id != "" {
		last = int(id[len(id)-1])
	}
	return &p.writing[last%len(p.writing)]
}

// write is record without the log, for callers that hold the write lock.
func (p *Pipeline) write(i resources.Image, guard resources.Guard) error {
	err := p.catalog.Record(context.WithoutCancel(p.base), i, guard)
	if guard.From != "" {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil || errors.Is(err, resources.ErrSettled) {
		delete(p.pendingWrites, i.ID)
	} else {
		p.pendingWrites[i.ID] = i
	}
	return err
}

// recordLater keeps an image to be written when the catalog can be written again.
func (p *Pipeline) recordLater(i resources.Image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pendingWrites[i.ID] = i
}

// isPending reports whether the last step of an image is still to be written.
func (p *Pipeline) isPending(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, pending := p.pendingWrites[id]
	return pending
}

// reload returns an image as it is in the catalog, or i if it cannot be read.
func (p *Pipeline) reload(i resources.Image) resources.Image {
	if current, err := p.Library.Image(context.WithoutCancel(p.base), i.Owner, i.ID); err == nil {
		return current
	}
	return i
}

// flushPending writes the last step of an image if that could not be written
// before.
func (p *Pipeline) flushPending(id string) error {
	lock := p.writeLock(id)
	lock.Lock()
	defer lock.Unlock()
	p.mu.Lock()
	i, pending := p.pendingWrites[id]
	p.mu.Unlock()
	if !pending {
		return nil
	}
	if err := p.write(i, p.always()); err != nil && !errors.Is(err, resources.ErrSettled) {
		return err
	}
	p.queues.wake(i.Model)
	return nil
}

// flushAllPending does so for all images, cancels reservations that had seemed to fail,
// and records deliveries that could not be recorded before. It stops at the first error.
func (p *Pipeline) flushAllPending() error {
	if err := p.cancelReservations(); err != nil {
		return err
	}
	p.mu.Lock()
	ids := slices.Collect(maps.Keys(p.pendingWrites))
	p.mu.Unlock()
	for _, id := range ids {
		if err := p.flushPending(id); err != nil {
			return err
		}
	}
	return p.flushDeliveries()
}
