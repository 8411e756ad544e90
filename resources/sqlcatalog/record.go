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
	q, err := c.lookup(ctx)
	if err != nil {
		return err
	}
	exists, err := c.exists(ctx, q, i.ID)
	switch {
	case err != nil:
		return c.engine.Error("reading row "+i.ID, err)
	case exists:
		return resources.ErrSettled
	}
	c.log.WarnContext(ctx, "adding a missing row: the catalog was replaced while the image was being made", "id", i.ID)
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
		_, err := c.insert(ctx, tx, i, o)
		return err
	})
	return c.engine.Error("writing row "+i.ID, err)
}

func (c *Catalog) update(ctx context.Context, i resources.Image, guard resources.Guard) (changed int64, err error) {
	failure := failureJSON(i.Failure)
	statement := `UPDATE images SET state=?, updated_ms=:now, updated_by=?, charged=?, upstream_url=?, task_id=?, request_id=?, log_id=?,
		content_filter=?, path=?, mime_type=?, width=?, height=?, bytes=?, sha256=?, failure=?, upstream_answer=?,
		failed_ms=CASE WHEN failed_ms=0 AND ?<>'' THEN :now ELSE failed_ms END, changed=` + c.dialect.NextChange
	arguments := []any{
		string(i.State), guard.Lease.Process, i.Charged, i.UpstreamURL, i.TaskID, i.RequestID, i.LogID, filterJSON(i),
		i.Path, i.MIMEType, i.Width, i.Height, i.Bytes, i.SHA256, failure, i.UpstreamAnswer, failure,
	}
	if guard.From != "" {
		statement += `, lease_until_ms=:now + ?`
		arguments = append(arguments, guard.Lease.For.Milliseconds())
	}
	statement += ` WHERE id=? AND ` + stateIn(resources.StatesThat(func(s resources.State) bool { return s.CanBecome(i.State) })...)
	arguments = append(arguments, i.ID)
	if guard.From != "" {
		statement += ` AND state=? AND lease_owner=?`
		arguments = append(arguments, string(guard.From), guard.Lease.Process)
	}
	if guard.From == resources.Queued {
		// After the lease has ended, others may have been given the slot.
		statement += ` AND (NOT slot OR lease_until_ms > :now)`
	}
	return c.write(ctx, statement, arguments...)
}

func (c *Catalog) exists(ctx context.Context, q Querier, id string) (bool, error) {
	return scanValue[bool](c.queryRow(ctx, q, `SELECT EXISTS (SELECT 1 FROM images WHERE id=?)`, id))
}

// holdsSlot reports whether an image in a state keeps the slot that it was given.
func holdsSlot(s resources.State) bool { return s == resources.Queued || s.InFlight() }
