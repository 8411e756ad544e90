package resources

import (
	"context"
	"strings"
	"time"
)

// This file contains the queries over the images of all owners, for Check, Repair,
// Reindex and SweepPreviews.

// auditedImage is an Image with the columns that only audits read.
type auditedImage struct {
	Image
	leaseUntil, updatedAt time.Time
}

const auditColumns = `lease_until_ms, updated_ms, ` + imageColumns

func scanAuditedImage(row interface{ Scan(...any) error }) (auditedImage, error) {
	var lease, updated int64
	i, err := scanImage(prefixScanner{row, []any{&lease, &updated}})
	return auditedImage{i, time.UnixMilli(lease), time.UnixMilli(updated)}, err
}

// prefixScanner scans additional columns before those of the caller.
type prefixScanner struct {
	row   interface{ Scan(...any) error }
	first []any
}

func (p prefixScanner) Scan(targets ...any) error { return p.row.Scan(append(p.first, targets...)...) }

// lookup returns an image in any state, including Removed.
func (c *catalog) lookup(ctx context.Context, id string) (auditedImage, error) {
	db, err := c.open(ctx)
	if err != nil {
		return auditedImage{}, err
	}
	i, err := scanAuditedImage(db.lookup.QueryRowContext(ctx, `SELECT `+auditColumns+` FROM images WHERE id=?`, id))
	return i, c.storageError("reading row", err)
}

// scan returns a page of the images in the given states whose ids are greater than
// after, oldest first. An empty page is the end.
func (c *catalog) scan(ctx context.Context, after string, states ...State) ([]auditedImage, error) {
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
	rows, err := db.read.QueryContext(ctx, `SELECT `+auditColumns+` FROM images WHERE id>? AND state IN (?`+
		strings.Repeat(`,?`, len(states)-1)+`) ORDER BY id LIMIT ?`, append(arguments, page)...)
	if err != nil {
		return nil, c.storageError("scanning the catalog", err)
	}
	defer rows.Close()
	var list []auditedImage
	for rows.Next() {
		i, err := scanAuditedImage(rows)
		if err != nil {
			return nil, c.storageError("scanning the catalog", err)
		}
		list = append(list, i)
	}
	return list, c.storageError("scanning the catalog", rows.Err())
}

// count returns the number of images in a state.
func (c *catalog) count(ctx context.Context, state State) (n int, err error) {
	db, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	err = db.lookup.QueryRowContext(ctx, `SELECT COUNT(*) FROM images WHERE state=?`, state).Scan(&n)
	return n, c.storageError("counting", err)
}
