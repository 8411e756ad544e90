package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"zai-image-mcp/resources"
)

const (
	// maxChanges is the most changes that Changes returns.
	maxChanges = 500
	// lookBack is the number of transactions that are read again after the database was
	// replaced, by a failover that lost transactions or by a restored backup.
	lookBack = 1000
)

// Changes implements resources.Journal. Transactions do not end in the order of their
// numbers or of their times, so the cursor is a snapshot of the database: the rows whose
// last transaction the snapshot does not include have changed since. No change is
// missed, however late its transaction ends.
func (c *Catalog) Changes(ctx context.Context, process string, after resources.Cursor) ([]resources.Change, resources.Cursor, error) {
	pool, err := c.db.open(ctx)
	if err != nil {
		return nil, after, err
	}
	list, next, err := readChanges(ctx, pool, process, string(after))
	if err != nil {
		return nil, after, c.db.Error("reading changes", err)
	}
	return list, resources.Cursor(next.String()), nil
}

// position is a cursor. While one call does not return all changes between two
// snapshots, it also has the second one and the last change returned.
type position struct {
	from, to string // snapshots; to is "" if all changes up to from were returned
	changed  int64
	id       string
}

// String returns the text that parsePosition reads.
func (p position) String() string {
	if p.to == "" {
		return p.from
	}
	return fmt.Sprintf("%s %s %d %s", p.from, p.to, p.changed, p.id)
}

func parsePosition(text string) (p position, err error) {
	if !strings.Contains(text, " ") {
		return position{from: text}, nil
	}
	_, err = fmt.Sscanf(text, "%s %s %d %s", &p.from, &p.to, &p.changed, &p.id)
	return p, err
}

func readChanges(ctx context.Context, pool *sql.DB, process, after string) ([]resources.Change, position, error) {
	at, err := parsePosition(after)
	if err != nil {
		return nil, at, err
	}
	if at.to == "" {
		// A snapshot that ends after the current one is not of this database.
		err = pool.QueryRowContext(ctx, `SELECT now::text, CASE
			WHEN pg_snapshot_xmax(old) <= pg_snapshot_xmax(now) THEN old::text
			ELSE format('%1$s:%1$s:', greatest(pg_snapshot_xmin(now)::text::bigint - $2::bigint, 3)) END
			FROM pg_current_snapshot() AS now, CAST(coalesce(nullif($1::text, ''), now::text) AS pg_snapshot) AS old`, after, lookBack).Scan(&at.to, &at.from)
		if err != nil {
			return nil, at, err
		}
		if after == "" {
			return nil, position{from: at.to}, nil
		}
	}
	rows, err := pool.QueryContext(ctx, `SELECT id, owner, state, changed FROM images
		WHERE changed >= pg_snapshot_xmin($1::text::pg_snapshot)::text::bigint AND changed < pg_snapshot_xmax($2::text::pg_snapshot)::text::bigint
		AND NOT pg_visible_in_snapshot(changed::text::xid8, $1::text::pg_snapshot) AND pg_visible_in_snapshot(changed::text::xid8, $2::text::pg_snapshot)
		AND (changed, id) > ($3, $4) AND updated_by <> $5 ORDER BY changed, id LIMIT $6`,
		at.from, at.to, at.changed, at.id, process, maxChanges)
	if err != nil {
		return nil, at, err
	}
	defer rows.Close()
	var list []resources.Change
	for rows.Next() {
		var change resources.Change
		if err := rows.Scan(&change.ID, &change.Owner, &change.State, &at.changed); err != nil {
			return nil, at, err
		}
		at.id = change.ID
		list = append(list, change)
	}
	if len(list) < maxChanges {
		at = position{from: at.to}
	}
	return list, at, rows.Err()
}
