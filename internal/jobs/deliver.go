package jobs

import "context"

// HandOut notes that an answer with these pictures is on its way to a caller.
// Delivered or Undelivered says how that ended.
func (p *Pipeline) HandOut(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.given[id]++
	}
}

// Delivered notes that a caller has these pictures: an equal call makes new
// ones from now on.
func (p *Pipeline) Delivered(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	if err := p.Library.Delivered(context.WithoutCancel(ctx), ids); err != nil {
		p.Log.ErrorContext(ctx, "a delivery is not recorded", "error", err)
		return // at least this process knows
	}
	p.Undelivered(ids)
}

// Undelivered notes that an answer did not reach its caller, who may make the
// same call again to get it.
func (p *Pipeline) Undelivered(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if p.given[id]--; p.given[id] <= 0 {
			delete(p.given, id)
		}
	}
}

func (p *Pipeline) isGiven(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given[id] > 0
}
