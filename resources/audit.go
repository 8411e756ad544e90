package resources

import (
	"context"
	"strings"
	"time"
)

// What looks at all owners' images: checking, repairing, reindexing.

// surveyed is a row with what only surveys want to know.
type auditRow struct {
	Image
	leaseUntil, updatedAt time.Time
}

const auditRowColumns = `lease_until_ms, updated_ms, ` + imageColumns

func scanAuditRow(row interface{ Scan(...any) error }) (auditRow, error) {
	var lease, updated int64
	i, err := scanImage(prefixScanner{row, []any{&lease, &updated}})
	return auditRow{i, time.UnixMilli(lease), time.UnixMilli(updated)}, err
}

// leading scans more imageColumns ahead of the others.
type prefixScanner struct {
	row   interface{ Scan(...any) error }
	first []any
}

func (l prefixScanner) Scan(targets ...any) error { return l.row.Scan(append(l.first, targets...)...) }

// any finds a row in any state.
func (c *catalog) lookup(ctx context.Context, id string) (auditRow, error) {
	db, err := c.open(ctx)
	if err != nil {
		return auditRow{}, err
	}
	i, err := scanAuditRow(db.lookup.QueryRowContext(ctx, `SELECT `+auditRowColumns+` FROM images WHERE id=?`, id))
	return i, c.storageError("reading row", err)
}

// everyone lists the rows in these states behind an id, oldest first; none
// when there are no more.
func (c *catalog) scan(ctx context.Context, after string, states ...State) ([]auditRow, error) {
	db, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	const page = 500
	arguments := []any{after}
	for _, s := range states {
		arguments = append(arguments, s)
	}
	//nolint:gosec // the parts are constants
	rows, err := db.read.QueryContext(ctx, `SELECT `+auditRowColumns+` FROM images WHERE id>? AND state IN (?`+
		strings.Repeat(`,?`, len(states)-1)+`) ORDER BY id LIMIT ?`, append(arguments, page)...)
	if err != nil {
		return nil, c.storageError("looking through the catalog", err)
	}
	defer rows.Close()
	var list []auditRow
	for rows.Next() {
		i, err := scanAuditRow(rows)
		if err != nil {
			return nil, c.storageError("looking through the catalog", err)
		}
		list = append(list, i)
	}
	return list, c.storageError("looking through the catalog", rows.Err())
}

func (c *catalog) count(ctx context.Context, state State) (n int, err error) {
	db, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	err = db.lookup.QueryRowContext(ctx, `SELECT COUNT(*) FROM images WHERE state=?`, state).Scan(&n)
	return n, c.storageError("counting", err)
}

// move notes that a saved image's file has another name now.
func (c *catalog) move(ctx context.Context, i Image, name string, now time.Time) error {
	write, err := c.writer(ctx)
	if err != nil {
		return err
	}
	_, err = write.ExecContext(ctx, `UPDATE images SET path=?, updated_ms=? WHERE id=? AND state='saved' AND path=?`, name, now.UnixMilli(), i.ID, i.Path)
	return c.storageError("moving row "+i.ID, err)
}

// adopt adds the row of an image that nobody reserved.
func (c *catalog) adopt(ctx context.Context, i Image, now time.Time) error {
	write, err := c.writer(ctx)
	if err != nil {
		return err
	}
	return c.storageError("adding "+i.ID, insert(ctx, write, i, now, "", Lease{}))
}
