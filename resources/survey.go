package resources

import (
	"context"
	"strings"
	"time"
)

// What looks at all owners' pictures: checking, repairing, reindexing.

// surveyed is a row with what only surveys want to know.
type surveyed struct {
	Image
	leaseUntil, updatedAt time.Time
}

const surveyedColumns = `lease_until_ms, updated_ms, ` + columns

func scanSurveyed(row interface{ Scan(...any) error }) (surveyed, error) {
	var lease, updated int64
	i, err := scanImage(leading{row, []any{&lease, &updated}})
	return surveyed{i, time.UnixMilli(lease), time.UnixMilli(updated)}, err
}

// leading scans more columns ahead of the others.
type leading struct {
	row   interface{ Scan(...any) error }
	first []any
}

func (l leading) Scan(targets ...any) error { return l.row.Scan(append(l.first, targets...)...) }

// any finds a row in any state.
func (c *catalog) any(ctx context.Context, id string) (surveyed, error) {
	db, err := c.open(ctx)
	if err != nil {
		return surveyed{}, err
	}
	i, err := scanSurveyed(db.lookup.QueryRowContext(ctx, `SELECT `+surveyedColumns+` FROM images WHERE id=?`, id))
	return i, c.failure("reading row", err)
}

// everyone lists the rows in these states behind an id, oldest first; none
// when there are no more.
func (c *catalog) everyone(ctx context.Context, after string, states ...State) ([]surveyed, error) {
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
	rows, err := db.read.QueryContext(ctx, `SELECT `+surveyedColumns+` FROM images WHERE id>? AND state IN (?`+
		strings.Repeat(`,?`, len(states)-1)+`) ORDER BY id LIMIT ?`, append(arguments, page)...)
	if err != nil {
		return nil, c.failure("looking through the catalog", err)
	}
	defer rows.Close()
	var list []surveyed
	for rows.Next() {
		i, err := scanSurveyed(rows)
		if err != nil {
			return nil, c.failure("looking through the catalog", err)
		}
		list = append(list, i)
	}
	return list, c.failure("looking through the catalog", rows.Err())
}

func (c *catalog) count(ctx context.Context, state State) (n int, err error) {
	db, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	err = db.lookup.QueryRowContext(ctx, `SELECT COUNT(*) FROM images WHERE state=?`, state).Scan(&n)
	return n, c.failure("counting", err)
}

// move notes that a saved picture's file has another name now.
func (c *catalog) move(ctx context.Context, i Image, name string, now time.Time) error {
	write, err := c.writer(ctx)
	if err != nil {
		return err
	}
	_, err = write.ExecContext(ctx, `UPDATE images SET path=?, updated_ms=? WHERE id=? AND state='saved' AND path=?`, name, now.UnixMilli(), i.ID, i.Path)
	return c.failure("moving row "+i.ID, err)
}

// adopt adds the row of an image that nobody reserved.
func (c *catalog) adopt(ctx context.Context, i Image, now time.Time) error {
	write, err := c.writer(ctx)
	if err != nil {
		return err
	}
	return c.failure("adding "+i.ID, insert(ctx, write, i, now, "", Lease{}))
}
