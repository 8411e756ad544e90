package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"zai-image-mcp/resources"
)

// Scan implements resources.Maintenance.
func (c *Catalog) Scan(ctx context.Context, after string, states ...resources.State) ([]resources.Row, error) {
	db, err := c.engine.DB(ctx)
	if err != nil {
		return nil, err
	}
	const page = 500
	rows, err := c.query(ctx, db.Read, `SELECT `+rowColumns+` FROM images WHERE id > ? AND `+stateIn(states...)+` ORDER BY id LIMIT ?`, after, page)
	list, err := scanAll(rows, err, scanRow)
	return list, c.engine.Error("scanning the catalog", err)
}

// Count implements resources.Maintenance.
func (c *Catalog) Count(ctx context.Context, states ...resources.State) (int, error) {
	q, err := c.lookup(ctx)
	if err != nil {
		return 0, err
	}
	n, err := scanValue[int](c.queryRow(ctx, q, `SELECT COUNT(*) FROM images WHERE `+stateIn(states...)))
	return n, c.engine.Error("counting", err)
}

// Insert implements resources.Maintenance.
func (c *Catalog) Insert(ctx context.Context, rows ...resources.Row) (int, error) {
	added := int64(0)
	err := c.engine.Do(ctx, nil, func(tx Querier, now time.Time) error {
		added = 0
		for _, r := range rows {
			o := origin{updated: r.UpdatedAt, failed: r.FailedAt, leaseUntil: r.LeaseUntil, joinKey: r.JoinKey}
			if o.updated.IsZero() {
				o.updated = now
			}
			if r.Delivered {
				o.delivered = o.updated
			}
			n, err := c.insert(ctx, tx, r.Image, o)
			if err != nil {
				return err
			}
			added += n
		}
		return nil
	})
	return int(added), c.engine.Error("adding rows", err)
}

// touched is the part of a statement that marks a row as changed by a command.
func (c *Catalog) touched() string {
	return `updated_ms=:now, updated_by='', changed=` + c.dialect.NextChange
}

// Move implements resources.Maintenance.
func (c *Catalog) Move(ctx context.Context, id, from, to string) error {
	_, err := c.write(ctx, `UPDATE images SET path=?, `+c.touched()+` WHERE id=? AND state='saved' AND path=?`, to, id, from)
	return c.engine.Error("moving row "+id, err)
}

// Reset implements resources.Maintenance.
func (c *Catalog) Reset(ctx context.Context, id, path string, retry, lost resources.Failure) error {
	_, err := c.write(ctx, `UPDATE images SET state=CASE WHEN upstream_url='' THEN 'lost' ELSE 'fetch_failed' END,
		failure=CASE WHEN upstream_url='' THEN ? ELSE ? END, path='', lease_owner='', lease_until_ms=0, `+c.touched()+` WHERE id=? AND state='saved' AND path=?`,
		toJSON(lost), toJSON(retry), id, path)
	return c.engine.Error("writing row "+id, err)
}

// GiveUp implements resources.Maintenance.
func (c *Catalog) GiveUp(ctx context.Context, id string, f resources.Failure) error {
	_, err := c.write(ctx, `UPDATE images SET state='failed', charged=FALSE, failure=?, lease_owner='', lease_until_ms=0, `+c.touched()+`
		WHERE id=? AND sandbox=TRUE AND `+stateIn(resources.StatesThat(resources.State.Working)...)+` AND lease_until_ms <= :now`, toJSON(f), id)
	return c.engine.Error("writing row "+id, err)
}

// Remove implements resources.Maintenance. It runs in one transaction, because the
// image may be saved at the same time.
func (c *Catalog) Remove(ctx context.Context, owner, id string) (path string, err error) {
	err = c.engine.Do(ctx, nil, func(tx Querier, _ time.Time) error {
		// The update comes first: it locks the row, so that the name read below is that
		// of the file that the row referred to.
		n, err := c.exec(ctx, tx, `UPDATE images SET state='removed', prompt='', upstream_url='', upstream_answer='', `+c.touched()+`
			WHERE id=? AND owner=?`, id, owner)
		if err == nil && n == 0 {
			err = resources.ErrNotFound
		}
		if err == nil {
			path, err = scanValue[string](c.queryRow(ctx, tx, `SELECT path FROM images WHERE id=?`, id))
		}
		if err == nil {
			_, err = c.exec(ctx, tx, `UPDATE images SET path='' WHERE id=?`, id)
		}
		return err
	})
	return path, c.engine.Error("removing row "+id, err)
}

// Setting implements resources.Maintenance.
func (c *Catalog) Setting(ctx context.Context, name string, initial []byte) (value []byte, err error) {
	if _, err := c.write(ctx, `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`, name, initial); err != nil {
		return nil, c.engine.Error("writing setting "+name, err)
	}
	q, err := c.lookup(ctx)
	if err != nil {
		return nil, err
	}
	value, err = scanValue[[]byte](c.queryRow(ctx, q, `SELECT value FROM settings WHERE name=?`, name))
	if errors.Is(err, sql.ErrNoRows) {
		err = resources.ErrNotFound // the catalog was replaced meanwhile
	}
	return value, c.engine.Error("reading setting "+name, err)
}

// SetSetting implements resources.Maintenance.
func (c *Catalog) SetSetting(ctx context.Context, name string, value []byte) error {
	_, err := c.write(ctx, `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value=excluded.value`, name, value)
	return c.engine.Error("writing setting "+name, err)
}

// Ping reads the catalog.
func (c *Catalog) Ping(ctx context.Context) error {
	q, err := c.lookup(ctx)
	if err != nil {
		return err
	}
	_, err = scanValue[int](c.queryRow(ctx, q, `SELECT COUNT(*) FROM settings`))
	return c.engine.Error("reading settings", err)
}
