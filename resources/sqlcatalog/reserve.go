package sqlcatalog

import (
	"context"
	"errors"
	"slices"
	"time"

	"zai-image-mcp/resources"
)

// joinAge is the maximum age of a call that can be joined.
const joinAge = 24 * time.Hour

// Reserve implements resources.Journal.
func (c *Catalog) Reserve(ctx context.Context, r resources.Reservation) (resources.Outcome, error) {
	if len(r.Images) == 0 {
		return resources.Outcome{}, nil
	}
	c.engine.Hold(ctx, r.Lease.Process)
	first := r.Images[0]
	locks := []string{spendingLock(first.Owner, first.Sandbox)}
	if r.Slots.Limit > 0 {
		locks = append(locks, slotsLock(first.Model, r.Slots))
	}
	var (
		outcome  resources.Outcome
		exceeded error
	)
	err := c.engine.Do(ctx, locks, func(tx Querier, now time.Time) (err error) {
		outcome, exceeded, err = c.reserve(ctx, tx, r, now)
		return err
	})
	if err != nil {
		return resources.Outcome{}, c.engine.Error("reserving", err)
	}
	return outcome, exceeded
}

// spendingLock is held while an owner's spending is summed and added to. Equal calls
// have the same owner, so it also covers the joining of calls.
func spendingLock(owner string, sandbox bool) string {
	if sandbox {
		return "sandbox spending " + owner
	}
	return "spending " + owner
}

// slotsLock is held while free slots of a model are counted and given away.
func slotsLock(model string, slots resources.Slots) string { return "slots " + slots.Key + " " + model }

// reserve writes the rows of a reservation in a transaction that holds its locks.
// exceeded is the limit that does not cover all of them, or nil.
func (c *Catalog) reserve(ctx context.Context, tx Querier, r resources.Reservation, now time.Time) (outcome resources.Outcome, exceeded, err error) {
	now = now.UTC().Truncate(time.Millisecond)
	if r.JoinKey != "" {
		if outcome.Joined, err = c.joinable(ctx, tx, r, now); err != nil {
			return outcome, nil, err
		}
	}
	missing := slices.Clone(r.Images[:max(0, min(len(r.Images), r.Count-len(outcome.Joined)))])
	if len(missing) == 0 {
		return outcome, nil, nil
	}
	n, exceeded, err := c.covered(ctx, tx, missing, r, now)
	if err != nil {
		return outcome, nil, err
	}
	outcome.New = missing[:n]
	o := origin{updated: now, joinKey: r.JoinKey, process: r.Lease.Process, client: r.Client, slotKey: r.Slots.Key}
	if o.process != "" {
		o.leaseUntil = now.Add(r.Lease.For)
	}
	for n := range outcome.New {
		i := &outcome.New[n]
		i.CreatedAt, i.Charged, i.State = now, true, resources.Queued
		if r.Slots.Limit <= 0 {
			i.State = resources.Submitted
		}
		if len(outcome.Joined) > 0 {
			i.CallID = outcome.Joined[0].CallID
		}
		switch added, err := c.insert(ctx, tx, *i, o); {
		case err != nil:
			return outcome, nil, err
		case added == 0:
			return outcome, nil, errIDExists
		}
	}
	if r.Slots.Limit > 0 && len(outcome.New) > 0 {
		err = c.grantNew(ctx, tx, r, outcome.New, now)
	}
	return outcome, exceeded, err
}

var errIDExists = errors.New("an image with this id exists")

// grantNew gives free slots to images that were just reserved, unless others waited
// before them. Those of this process, too, wait for Grant, which reports what they get.
func (c *Catalog) grantNew(ctx context.Context, tx Querier, r resources.Reservation, images []resources.Image, now time.Time) error {
	q, err := c.readQueue(ctx, tx, images[0].Model, r.Slots, r.Lease.Process)
	if err != nil {
		return err
	}
	isNew := func(id string) bool {
		return slices.ContainsFunc(images, func(i resources.Image) bool { return i.ID == id })
	}
	granted, err := c.grant(ctx, tx, q, slices.DeleteFunc(q.grantable(), func(i queuedImage) bool { return !isNew(i.id) }), r.Lease, now)
	for n := range images {
		if slices.Contains(granted, images[n].ID) {
			images[n].State = resources.Submitted
		}
	}
	return err
}

// joinable returns the images of the newest equal call that was not delivered and is
// not being delivered: images in progress, and images that were or may have been paid
// for. It leaves out images for which no request was accepted, because a new request
// costs nothing extra, and images whose first failure is older than r.RejoinWindow,
// because retrying them must not keep the caller from a new image.
//
// It includes an image that a dead process submitted: it may have been billed, so
// the caller must be informed before paying again.
func (c *Catalog) joinable(ctx context.Context, tx Querier, r resources.Reservation, now time.Time) ([]resources.Image, error) {
	since, nowMS := now.Add(-r.RejoinWindow).UnixMilli(), now.UnixMilli()
	rows, err := c.query(ctx, tx, c.text.joinable,
		r.JoinKey, now.Add(-joinAge).UnixMilli(), nowMS, since, since, since, nowMS)
	calls, err := scanAll(rows, err, scanValue[string])
	if err != nil || len(calls) == 0 {
		return nil, err
	}
	rows, err = c.query(ctx, tx, `SELECT `+imageColumns+` FROM images WHERE call_id=? AND join_key=? AND state NOT IN ('failed', 'removed') ORDER BY id`,
		calls[0], r.JoinKey)
	return scanAll(rows, err, scanOneImage)
}

// covered returns how many of the images the owner's limits cover, and the limit that
// does not cover the next one.
func (c *Catalog) covered(ctx context.Context, tx Querier, images []resources.Image, r resources.Reservation, now time.Time) (n int, exceeded, err error) {
	if r.Budget <= 0 && r.Daily <= 0 {
		return len(images), nil, nil
	}
	var (
		spent   int64
		charged int
	)
	if err := c.queryRow(ctx, tx, `SELECT `+sumSpent+`, COUNT(*)`+fromCharged+`?`, images[0].Owner, images[0].Sandbox, utcDay(now)).Scan(&spent, &charged); err != nil {
		return 0, nil, err
	}
	for n, i := range images {
		spent, charged = spent+i.CostMicroUSD, charged+1
		switch {
		case r.Budget > 0 && i.CostMicroUSD > 0 && spent > r.Budget:
			return n, resources.ErrBudget, nil
		case r.Daily > 0 && charged > r.Daily:
			return n, resources.ErrDailyImages, nil
		}
	}
	return len(images), nil, nil
}

// BeginDelivery implements resources.Journal.
func (c *Catalog) BeginDelivery(ctx context.Context, lease resources.Lease, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := c.write(ctx, `UPDATE images SET delivering_by=?, delivering_until_ms=:now + ? WHERE `+c.dialect.In("id"),
		lease.Process, lease.For.Milliseconds(), c.dialect.List(ids))
	return c.engine.Error("delivering", err)
}

// EndDelivery implements resources.Journal.
func (c *Catalog) EndDelivery(ctx context.Context, process string, ids []string, delivered bool) error {
	if len(ids) == 0 {
		return nil
	}
	err := c.engine.Do(ctx, nil, func(tx Querier, now time.Time) error {
		if delivered {
			if _, err := c.exec(ctx, tx, `UPDATE images SET delivered_ms=? WHERE `+c.dialect.In("id")+` AND delivered_ms=0`, now.UnixMilli(), c.dialect.List(ids)); err != nil {
				return err
			}
		}
		_, err := c.exec(ctx, tx, `UPDATE images SET delivering_by='', delivering_until_ms=0 WHERE `+c.dialect.In("id")+` AND delivering_by=?`,
			c.dialect.List(ids), process)
		return err
	})
	return c.engine.Error("delivering", err)
}
