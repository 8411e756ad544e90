package jobs

import "context"

// HandOut notes that an answer with these images is on its way to a caller.
// Delivered or Undelivered says how that ended.
func (p *Pipeline) BeginDelivery(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.delivering[id]++
	}
}

// Delivered notes that a caller has these images: an equal call makes new
// ones from now on.
func (p *Pipeline) ConfirmDelivery(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	if err := p.Library.ConfirmDelivery(context.WithoutCancel(ctx), ids); err != nil {
		p.Log.ErrorContext(ctx, "a delivery is not recorded", "error", err)
		return // at least this process knows
	}
	p.CancelDelivery(ids)
}

// Undelivered notes that an answer did not reach its caller, who may make the
// same call again to get it.
func (p *Pipeline) CancelDelivery(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if p.delivering[id]--; p.delivering[id] <= 0 {
			delete(p.delivering, id)
		}
	}
}

func (p *Pipeline) isDelivering(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delivering[id] > 0
}
