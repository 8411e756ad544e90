package sqlcatalog

import (
	"cmp"
	"context"
	"slices"
	"time"

	"zai-image-mcp/resources"
)

// queue is the state of the slots of one API key and model.
type queue struct {
	model   string
	slots   resources.Slots
	process string
	used    int              // slots in use
	waiting []queuedImage    // in the order in which they get slots
	turns   map[client]int64 // when each client last got a slot, larger is later
}

type queuedImage struct {
	id      string
	client  client
	process string
}

// client is a client of an owner.
type client struct{ owner, name string }

// turnLifetime is how long the turn of a client is kept. Clients without a turn come
// first.
const turnLifetime = time.Hour

// readQueue reads the slots in use and the queued images, except those of other
// processes whose leases have ended.
func (c *Catalog) readQueue(ctx context.Context, q Querier, model string, slots resources.Slots, process string) (*queue, error) {
	result := &queue{model: model, slots: slots, process: process, turns: map[client]int64{}}
	type row struct {
		queuedImage
		state       resources.State
		slot, alive bool
	}
	rows, err := c.query(ctx, q, c.text.queue, slots.Key, model)
	list, err := scanAll(rows, err, func(s scanner) (r row, err error) {
		err = s.Scan(&r.id, &r.client.owner, &r.client.name, &r.process, &r.state, &r.slot, &r.alive)
		return r, err
	})
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		switch {
		case r.state.InFlight() || r.slot && r.alive:
			result.used++
		case r.state == resources.Queued && !r.slot && (r.alive || r.process == process):
			result.waiting = append(result.waiting, r.queuedImage)
		}
	}
	if len(result.waiting) == 0 {
		return result, nil
	}
	type turn struct {
		client client
		at     int64
	}
	rows, err = c.query(ctx, q, `SELECT owner, client, turn FROM turns WHERE slot_key=? AND model=?`, slots.Key, model)
	turns, err := scanAll(rows, err, func(s scanner) (t turn, err error) {
		err = s.Scan(&t.client.owner, &t.client.name, &t.at)
		return t, err
	})
	for _, t := range turns {
		result.turns[t.client] = t.at
	}
	result.waiting = inTurn(result.waiting, result.turns)
	return result, err
}

// inTurn orders queued images. The owner whose last slot is the longest ago comes first,
// of an owner's clients likewise, and of a client's images the oldest.
func inTurn(images []queuedImage, turns map[client]int64) []queuedImage {
	slices.SortFunc(images, func(a, b queuedImage) int { return cmp.Compare(a.id, b.id) })
	byClient, owners, last := map[client][]queuedImage{}, map[string]int64{}, map[client]int64{}
	var clients []client // by the age of their oldest image
	for _, i := range images {
		if byClient[i.client] == nil {
			clients = append(clients, i.client)
		}
		byClient[i.client] = append(byClient[i.client], i)
	}
	next := int64(0)
	for c, turn := range turns {
		last[c], owners[c.owner] = turn, max(owners[c.owner], turn)
		next = max(next, turn)
	}
	ordered := make([]queuedImage, 0, len(images))
	for len(clients) > 0 {
		first := slices.MinFunc(clients, func(a, b client) int { // the first of equal ones
			return cmp.Or(cmp.Compare(owners[a.owner], owners[b.owner]), cmp.Compare(last[a], last[b]), cmp.Compare(byClient[a][0].id, byClient[b][0].id))
		})
		next++
		last[first], owners[first.owner] = next, next
		ordered = append(ordered, byClient[first][0])
		if byClient[first] = byClient[first][1:]; len(byClient[first]) == 0 {
			clients = slices.DeleteFunc(clients, func(c client) bool { return c == first })
		}
	}
	return ordered
}

// grantable returns the images of the process that can get a slot now. Free slots
// that are due to images of other processes are left to them.
func (q *queue) grantable() (own []queuedImage) {
	free := max(q.slots.Limit-q.used, 0)
	for _, i := range q.waiting[:min(free, len(q.waiting))] {
		if i.process == q.process {
			own = append(own, i)
		}
	}
	return own
}

// Grant implements resources.Journal.
func (c *Catalog) Grant(ctx context.Context, model string, slots resources.Slots, lease resources.Lease) (resources.Grant, error) {
	lookup, err := c.lookup(ctx)
	if err != nil {
		return resources.Grant{}, err
	}
	// This query needs no write lock, and usually no slot is free.
	q, err := c.readQueue(ctx, lookup, model, slots, lease.Process)
	if err != nil {
		return resources.Grant{}, c.engine.Error("reading the queue", err)
	}
	var granted []string
	if len(q.grantable()) > 0 {
		err = c.engine.Do(ctx, []string{slotsLock(model, slots)}, func(tx Querier, now time.Time) (err error) {
			if q, err = c.readQueue(ctx, tx, model, slots, lease.Process); err == nil {
				granted, err = c.grant(ctx, tx, q, q.grantable(), lease, now)
			}
			return err
		})
	}
	if err != nil {
		return resources.Grant{}, c.engine.Error("granting slots", err)
	}
	result := resources.Grant{Granted: granted, Ahead: map[string]int{}}
	ahead := 0
	for _, i := range q.waiting {
		switch {
		case slices.Contains(granted, i.id):
			continue
		case i.process == lease.Process:
			result.Ahead[i.id] = ahead
		}
		ahead++
	}
	return result, nil
}

// grant gives slots to grantable images in a transaction that is alone with the slots,
// and returns their ids.
func (c *Catalog) grant(ctx context.Context, tx Querier, q *queue, images []queuedImage, lease resources.Lease, now time.Time) ([]string, error) {
	var ids []string
	turn := now.UnixMilli()
	for _, at := range q.turns {
		turn = max(turn, at)
	}
	for _, i := range images {
		ids = append(ids, i.id)
		turn++
		if _, err := c.exec(ctx, tx, `INSERT INTO turns (slot_key, model, owner, client, turn) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (slot_key, model, owner, client) DO UPDATE SET turn=excluded.turn`, q.slots.Key, q.model, i.client.owner, i.client.name, turn); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if _, err := c.exec(ctx, tx, `DELETE FROM turns WHERE slot_key=? AND model=? AND turn < ?`, q.slots.Key, q.model, now.Add(-turnLifetime).UnixMilli()); err != nil {
		return nil, err
	}
	until := int64(0)
	if lease.Process != "" {
		until = now.Add(lease.For).UnixMilli()
	}
	rows, err := c.query(ctx, tx, c.text.grant,
		now.UnixMilli(), lease.Process, until, c.dialect.List(ids), lease.Process)
	return scanAll(rows, err, scanValue[string])
}
