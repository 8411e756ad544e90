package jobs

import (
	"context"
	"sync"
	"time"
)

// Delivery tracks the images in the response to one request until it is known
// whether the response reached its client. While a delivery is open, an equal
// call does not join its images. After the delivery is cancelled, it can join
// them again. The catalog holds this mark, so that it counts in all processes; it
// ends with the lease if the process dies.
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
	if d == nil || len(ids) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.ids = append(d.ids, ids...)
	d.pipeline.markDelivering(d.pipeline.deliveries.begin(ids))
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
// call generates new images. If that cannot be recorded, the images stay marked
// as being delivered, and it is recorded later.
func (d *Delivery) Confirm(ctx context.Context) {
	if ids := d.end(); len(ids) > 0 {
		d.pipeline.deliveries.confirm(ids)
		if err := d.pipeline.flushDeliveries(); err != nil {
			d.pipeline.Log.ErrorContext(ctx, "failed to record a delivery", "error", err)
		}
	}
}

// Cancel records that the response did not reach its client. The client can
// repeat the call to get the images.
func (d *Delivery) Cancel() {
	ids := d.end()
	if len(ids) == 0 {
		return
	}
	p := d.pipeline
	ctx, cancel := deliveryContext()
	defer cancel()
	if last := p.deliveries.cancel(ids); len(last) > 0 {
		if err := p.catalog.EndDelivery(ctx, p.Process, last, false); err != nil {
			p.Log.Error("failed to record a cancelled delivery", "error", err)
		}
		p.markDelivering(p.deliveries.open(last)) // those whose next delivery began meanwhile
	}
}

// end ends the delivery and returns its images.
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

// deliveryTimeout limits how long a response waits for the catalog. Its images can
// be delivered without the mark.
const deliveryTimeout = 5 * time.Second

func deliveryContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), deliveryTimeout)
}

// markDelivering marks images in the catalog as being delivered.
func (p *Pipeline) markDelivering(ids []string) {
	if len(ids) == 0 {
		return
	}
	ctx, cancel := deliveryContext()
	defer cancel()
	if err := p.catalog.BeginDelivery(ctx, p.lease(), ids); err != nil {
		p.Log.Error("failed to mark images as being delivered", "error", err)
	}
}

// flushDeliveries records confirmed deliveries.
func (p *Pipeline) flushDeliveries() error {
	ids := p.deliveries.unrecorded()
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := deliveryContext()
	defer cancel()
	if err := p.catalog.EndDelivery(ctx, p.Process, ids, true); err != nil {
		return err
	}
	p.deliveries.recorded(ids)
	return nil
}

// deliveries counts the open deliveries of each image in this process, because the
// catalog holds one mark per process, which the last delivery removes.
type deliveries struct {
	mu        sync.Mutex
	count     map[string]int // of open deliveries, by image id
	confirmed map[string]int // of deliveries that are confirmed and not recorded yet; part of count
}

func newDeliveries() *deliveries {
	return &deliveries{count: map[string]int{}, confirmed: map[string]int{}}
}

// begin adds a delivery of each image and returns the images that had none.
func (d *deliveries) begin(ids []string) (first []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if d.count[id]++; d.count[id] == 1 {
			first = append(first, id)
		}
	}
	return first
}

// cancel removes a delivery of each image and returns the images that have no
// other.
func (d *deliveries) cancel(ids []string) (last []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if d.count[id]--; d.count[id] <= 0 {
			delete(d.count, id)
			last = append(last, id)
		}
	}
	return last
}

// confirm marks a delivery of each image as confirmed.
func (d *deliveries) confirm(ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		d.confirmed[id]++
	}
}

// unrecorded returns the images whose deliveries are confirmed and not recorded.
func (d *deliveries) unrecorded() (ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.confirmed {
		ids = append(ids, id)
	}
	return ids
}

// recorded removes the confirmed deliveries of images.
func (d *deliveries) recorded(ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		d.count[id] -= d.confirmed[id]
		delete(d.confirmed, id)
		if d.count[id] <= 0 {
			delete(d.count, id)
		}
	}
}

// open returns those of the images that have an open delivery.
func (d *deliveries) open(ids []string) (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if d.count[id] > 0 {
			list = append(list, id)
		}
	}
	return list
}

// all returns the images that have an open delivery.
func (d *deliveries) all() (ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.count {
		ids = append(ids, id)
	}
	return ids
}
