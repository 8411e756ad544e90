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
	)
	if _, err := fmt.Sscanf(string(after), "%d %s", &position, &id); err != nil {
		return nil, after, fmt.Errorf("%w: not a cursor of changes: %w", resources.ErrStorage, err)
	}
	type row struct {
		resources.Change
		position int64
		by       string
	}
	// A statement that changes many rows gives all of them one position.
	rows, err := c.query(ctx, q, `SELECT id, owner, state, changed, updated_by FROM images WHERE changed >= ? AND (changed > ? OR id > ?) ORDER BY changed, id LIMIT ?`,
		position, position, id, maxChanges)
	list, err := scanAll(rows, err, func(s scanner) (r row, err error) {
		err = s.Scan(&r.ID, &r.Owner, &r.State, &r.position, &r.by)
		return r, err
	})
	if err != nil {
		return nil, after, c.engine.Error("reading changes", err)
	}
	var changes []resources.Change
	for _, r := range list {
		if r.by != process {
			changes = append(changes, r.Change)
		}
		after = cursor(r.position, r.ID)
	}
	if len(list) == 0 {
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

func (c *Catalog) lastChange(ctx context.Context, q Querier) (int64, error) {
	last, err := scanValue[int64](c.queryRow(ctx, q, `SELECT COALESCE(MAX(changed), 0) FROM images`))
	return last, c.engine.Error("reading changes", err)
}

func cursor(position int64, id string) resources.Cursor {
	return resources.Cursor(fmt.Sprintf("%d %s", position, id))
}
