package sqlcatalog

import (
	"context"
	"fmt"

	"zai-image-mcp/resources"
)

// maxChanges is the most rows that Changes reads.
const maxChanges = 500

// Changes implements resources.Journal for databases in which writers run one after
// the other, so that column changed grows in the order of commits.
func (c *Catalog) Changes(ctx context.Context, process string, after resources.Cursor) ([]resources.Change, resources.Cursor, error) {
	q, err := c.lookup(ctx)
	if err != nil {
		return nil, after, err
	}
	if after == "" {
		last, err := c.lastChange(ctx, q)
		return nil, cursor(last, "~"), err // "~" is greater than every id
	}
	var (
		position int64
		id       string
		changes  []resources.Change
	)
	if _, err := fmt.Sscanf(string(after), "%d %s", &position, &id); err != nil {
		return nil, after, fmt.Errorf("%w: not a cursor of changes: %w", resources.ErrStorage, err)
	}
	for full := true; full && len(changes) == 0; { // a page may have only changes of the process
		page, err := c.changesPage(ctx, q, position, id)
		if err != nil {
			return nil, after, err
		}
		for _, r := range page {
			if r.by != process {
				changes = append(changes, r.Change)
			}
			position, id = r.position, r.ID
			after = cursor(position, id)
		}
		full = len(page) == maxChanges
	}
	if len(changes) == 0 {
		// After a backup was restored, the cursor may be beyond the end.
		last, err := c.lastChange(ctx, q)
		if err != nil {
			return nil, after, err
		}
		if last < position {
			after = cursor(last, "~")
		}
	}
	return changes, after, nil
}

// changed is a row of a page of changes.
type changed struct {
	resources.Change
	position int64
	by       string // the process
}

// changesPage reads the rows after a position. A statement that changes many rows gives
// all of them one position.
func (c *Catalog) changesPage(ctx context.Context, q Querier, position int64, id string) ([]changed, error) {
	rows, err := c.query(ctx, q, `SELECT id, owner, state, changed, updated_by FROM images WHERE changed >= ? AND (changed > ? OR id > ?) ORDER BY changed, id LIMIT ?`,
		position, position, id, maxChanges)
	list, err := scanAll(rows, err, func(s scanner) (r changed, err error) {
		err = s.Scan(&r.ID, &r.Owner, &r.State, &r.position, &r.by)
		return r, err
	})
	return list, c.engine.Error("reading changes", err)
}

func (c *Catalog) lastChange(ctx context.Context, q Querier) (int64, error) {
	last, err := scanValue[int64](c.queryRow(ctx, q, `SELECT COALESCE(MAX(changed), 0) FROM images`))
	return last, c.engine.Error("reading changes", err)
}

func cursor(position int64, id string) resources.Cursor {
	return resources.Cursor(fmt.Sprintf("%d %s", position, id))
}
