package jobs

import (
	"context"
	"errors"
	"maps"

	"zai-image-mcp/resources"
)

// cancelLater keeps images whose reservation failed with an error of the catalog. It
// may have been committed all the same. Then the rows look as if requests might have
// been sent, although only this process could have done that.
func (p *Pipeline) cancelLater(drafts []*Job) {
	now := p.wallClock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range drafts {
		p.failedReservations[j.id] = now
	}
}

// cancelReservations cancels these images, free of charge, if they have rows. It looks
// for a missing row again until a lease has passed, because the database may still be
// committing. It stops at the first error.
func (p *Pipeline) cancelReservations() error {
	p.mu.Lock()
	failed := maps.Clone(p.failedReservations)
	p.mu.Unlock()
	for id, since := range failed {
		found, err := p.cancelReservation(id)
		if err != nil {
			return err
		}
		if found || p.wallClock().Sub(since) > p.Lease {
			p.mu.Lock()
			delete(p.failedReservations, id)
			p.mu.Unlock()
		}
	}
	return nil
}

func (p *Pipeline) cancelReservation(id string) (found bool, err error) {
	ctx := context.WithoutCancel(p.base)
	row, err := p.catalog.Row(ctx, id)
	switch {
	case errors.Is(err, resources.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	i := row.Image
	i.State, i.Charged, i.Failure = resources.Failed, false, Describe(errUnanswered)
	if err := p.catalog.Record(ctx, i, p.always()); err != nil && !errors.Is(err, resources.ErrSettled) {
		return false, err
	}
	p.Log.Warn("cancelled an image whose reservation had seemed to fail", "id", id)
	p.queues.wake(i.Model)
	return true, nil
}
