package sqlcatalog

import (
	"context"
	"time"

	"zai-image-mcp/resources"
)

// Record implements resources.Journal. It writes the columns that change while an
// image is being made.
func (c *Catalog) Record(ctx context.Context, i resources.Image, guard resources.Guard) error {
	n, err := c.update(ctx, i, guard)
	if err != nil || n > 0 {
		return c.engine.Error("writing row "+i.ID, err)
	}
	err = c.engine.Do(ctx, nil, func(tx Querier, now time.Time) error {
		o := origin{updated: now, process: guard.Lease.Process}
		if i.Failure != nil {
			o.failed = now
		}
		if i.Delivered {
			o.delivered = now
		}
		if o.process != "" {
			o.leaseUntil = now.Add(guard.Lease.For)
		}
		n, err = c.insert(ctx, tx, i, o)
		return err
	})
	switch {
	case err != nil:
		return c.engine.Error("writing row "+i.ID, err)
	case n == 0:
		return resources.ErrSettled // there is a row
	}
	c.log.WarnContext(ctx, "added a missing row: the catalog was replaced while the image was being made", "id", i.ID)
	return nil
}

func (c *Catalog) update(ctx context.Context, i resources.Image, guard resources.Guard) (changed int64, err error) {
	failure, from := failureJSON(i.Failure), string(guard.From)
	return c.write(ctx, c.text.record[i.State],
		string(i.State), guard.Lease.Process, i.Charged, i.UpstreamURL, i.TaskID, i.RequestID, i.LogID, filterJSON(i),
		i.Path, i.MIMEType, i.Width, i.Height, i.Bytes, i.SHA256, marksJSON(i), failure, i.UpstreamAnswer, failure,
		from, guard.Lease.For.Milliseconds(), i.ID, from, from, guard.Lease.Process)
}

// holdsSlot reports whether an image in a state keeps the slot that it was given.
func holdsSlot(s resources.State) bool { return s == resources.Queued || s.InFlight() }
