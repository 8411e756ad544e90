package sqlcatalog

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"strings"
	"time"

	"zai-image-mcp/resources"
)

// Claim implements resources.Journal.
func (c *Catalog) Claim(ctx context.Context, claim resources.Claim) ([]resources.Image, error) {
	list, err := c.claim(ctx, claim)
	action := "claiming rows"
	if claim.ID != "" {
		action = "claiming row " + claim.ID
	}
	return list, c.engine.Error(action, err)
}

func (c *Catalog) claim(ctx context.Context, claim resources.Claim) ([]resources.Image, error) {
	alive, err := c.engine.Alive(ctx, claim.Lease)
	if err != nil {
		return nil, err
	}
	due := Recoverable() + ` AND sandbox=? AND `
	arguments := []any{claim.Lease.Sandbox}
	switch {
	case claim.ID != "":
		due += `(lease_until_ms <= :now OR lease_owner='' OR lease_owner=?)`
		arguments = append(arguments, claim.Lease.Process)
	case claim.Early:
		due += `(lease_until_ms <= :now OR lease_owner='')`
	default:
		due += `lease_until_ms <= :now`
	}
	due += ` AND NOT ` + c.dialect.In("lease_owner")
	arguments = append(arguments, c.dialect.List(alive))
	ids := []string{claim.ID}
	if claim.ID == "" {
		if ids, err = c.claimable(ctx, due, arguments, claim.Limit); err != nil || len(ids) == 0 {
			return nil, err
		}
	}
	c.engine.Hold(ctx, claim.Lease.Process)
	// A queued image of another process leaves the queue: its request is never sent.
	// The statement repeats the condition, because another process may have claimed the
	// rows since.
	statement := `UPDATE images SET slot_key=CASE WHEN state='queued' AND lease_owner<>? THEN '' ELSE slot_key END, lease_owner=?, lease_until_ms=:now + ?, failure='', updated_by=?,
		state=CASE state WHEN 'poll_failed' THEN 'polling' WHEN 'fetch_failed' THEN 'answered' ELSE state END,
		changed=` + c.dialect.NextChange + ` WHERE ` + c.dialect.In("id") + ` AND ` + due + ` RETURNING ` + imageColumns
	arguments = append([]any{claim.Lease.Process, claim.Lease.Process, claim.Lease.For.Milliseconds(), claim.Lease.Process, c.dialect.List(ids)}, arguments...)
	var list []resources.Image
	err = c.engine.Write(ctx, func(q Querier) error {
		rows, err := c.query(ctx, q, statement, arguments...)
		list, err = scanAll(rows, err, scanOneImage)
		return err
	})
	slices.SortFunc(list, func(a, b resources.Image) int { return strings.Compare(a.ID, b.ID) })
	return list, err
}

// claimable returns the ids of the oldest rows that can be claimed. It needs no write
// lock, and nearly always finds nothing.
func (c *Catalog) claimable(ctx context.Context, due string, arguments []any, limit int) ([]string, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	q, err := c.lookup(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.query(ctx, q, `SELECT id FROM images WHERE `+due+` ORDER BY `+c.dialect.NoIndex("id")+` LIMIT ?`, append(slices.Clone(arguments), limit)...)
	return scanAll(rows, err, scanValue[string])
}

// LastLeases returns, for each other process that leases recoverable rows, when the
// last of its leases ends, in Unix milliseconds.
func (c *Catalog) LastLeases(ctx context.Context, self string) (map[string]int64, error) {
	q, err := c.lookup(ctx)
	if err != nil {
		return nil, err
	}
	type lease struct {
		process string
		until   int64
	}
	rows, err := c.query(ctx, q, `SELECT lease_owner, MAX(lease_until_ms) FROM images WHERE `+Recoverable()+
		` AND lease_owner NOT IN ('', ?) GROUP BY lease_owner`, self)
	list, err := scanAll(rows, err, func(row scanner) (l lease, err error) {
		err = row.Scan(&l.process, &l.until)
		return l, err
	})
	leases := map[string]int64{}
	for _, l := range list {
		leases[l.process] = l.until
	}
	return leases, err
}

// ReleaseLeases ends the leases of a dead process.
func (c *Catalog) ReleaseLeases(ctx context.Context, process string) error {
	c.log.InfoContext(ctx, "taking over the images of a process that died", "process", process)
	_, err := c.write(ctx, `UPDATE images SET lease_owner='', lease_until_ms=0 WHERE lease_owner=? AND `+Recoverable(), process)
	return err
}

// Renew implements resources.Journal.
func (c *Catalog) Renew(ctx context.Context, lease resources.Lease, images, deliveries []string) error {
	if len(images) == 0 && len(deliveries) == 0 {
		return nil
	}
	c.engine.Hold(ctx, lease.Process)
	err := c.engine.Do(ctx, nil, func(tx Querier, now time.Time) error {
		until := now.Add(lease.For).UnixMilli()
		if len(images) > 0 {
			if _, err := c.exec(ctx, tx, `UPDATE images SET lease_until_ms=? WHERE `+c.dialect.In("id")+` AND lease_owner=?`,
				until, c.dialect.List(images), lease.Process); err != nil {
				return err
			}
		}
		if len(deliveries) == 0 {
			return nil
		}
		_, err := c.exec(ctx, tx, `UPDATE images SET delivering_until_ms=? WHERE `+c.dialect.In("id")+` AND delivering_by=?`,
			until, c.dialect.List(deliveries), lease.Process)
		return err
	})
	return c.engine.Error("renewing leases", err)
}

// Park implements resources.Journal.
func (c *Catalog) Park(ctx context.Context, id, process string, wait time.Duration) error {
	statement, arguments := `UPDATE images SET lease_owner='', lease_until_ms=0 WHERE id=? AND lease_owner=?`, []any{id, process}
	if wait > 0 {
		statement = `UPDATE images SET lease_owner='', lease_until_ms=:now + ? WHERE id=? AND lease_owner=?`
		arguments = append([]any{wait.Milliseconds()}, arguments...)
	}
	_, err := c.write(ctx, statement, arguments...)
	return c.engine.Error("parking row "+id, err)
}

// NextClaim implements resources.Journal.
func (c *Catalog) NextClaim(ctx context.Context, lease resources.Lease) (wait time.Duration, ok bool, err error) {
	q, err := c.lookup(ctx)
	if err != nil {
		return 0, false, err
	}
	next, err := scanValue[sql.NullInt64](c.queryRow(ctx, q, `SELECT MIN(lease_until_ms) - :now FROM images WHERE `+Recoverable()+
		` AND sandbox=? AND lease_owner<>?`, lease.Sandbox, lease.Process))
	if err != nil || !next.Valid {
		return 0, false, c.engine.Error("reading leases", err)
	}
	return time.Duration(max(next.Int64, 0)) * time.Millisecond, true, nil
}
