package jobs

import (
	"context"
	"sync"
)

// Delivery tracks the images in the response to one request until it is known
// whether the response reached its client. While a delivery is open, an equal
// call does not join its images. After the delivery is cancelled, it can join
// them again.
//
// Confirm and Cancel end a delivery. Only the first call of either has an
// effect. All methods may be called on a nil Delivery,
// which tracks nothing, and are safe for concurrent use.
type Delivery struct {
	pipeline *Pipeline

	mu    sync.Mutex
	ids   []string
	ended bool
}

// NewDelivery returns an open delivery without images.
func (p *Pipeline) NewDelivery() *Delivery { return &Delivery{pipeline: p} }

// Begin adds images to the delivery. It has no effect after the delivery
// has ended, because the response that holds the images is not written then.
func (d *Delivery) Begin(ids ...string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.ids = append(d.ids, ids...)
	d.pipeline.addDelivering(ids)
}

// Empty reports whether the delivery has no images.
func (d *Delivery) Empty() bool {
	if d == nil {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ids) == 0
}

// Confirm records that the client received the response: from now on an equal
// call generates new images.
func (d *Delivery) Confirm(ctx context.Context) {
	ids := d.end()
	if len(ids) == 0 {
		return
	}
	p := d.pipeline
	if err := p.Library.ConfirmDelivery(context.WithoutCancel(ctx), ids); err != nil {
		// The images stay marked as being delivered, so that equal calls do not
		// join them, at least not in this process.
		p.Log.ErrorContext(ctx, "failed to record a delivery", "error", err)
		return
	}
	p.removeDelivering(ids)
}

// Cancel records that the response did not reach its client. The client can
// repeat the call to get the images.
func (d *Delivery) Cancel() {
	if ids := d.end(); len(ids) > 0 {
		d.pipeline.removeDelivering(ids)
	}
}

// end ends the delivery. It returns its images, or nil if it had ended before.
func (d *Delivery) end() []string {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := d.ids
	d.ids, d.ended = nil, true
	return ids
}

func (p *Pipeline) addDelivering(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.delivering[id]++
	}
}

func (p *Pipeline) removeDelivering(ids []string) {
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
