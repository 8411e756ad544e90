package sqlcatalog

import (
	"context"
	"time"

	"zai-image-mcp/resources"
)

// Page implements resources.Index.
func (c *Catalog) Page(ctx context.Context, owner string, state resources.State, query, before string, limit int) ([]resources.Image, error) {
	if before == "" {
		before = "~" // greater than every id
	}
	if words := parseQuery(query); len(words) > 0 {
		list, err := c.search(ctx, owner, words, before, limit, state)
		return list, c.engine.Error("searching", err)
	}
	db, err := c.engine.DB(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.query(ctx, db.Read, `SELECT `+imageColumns+` FROM images WHERE owner=? AND state=? AND id < ? ORDER BY id DESC LIMIT ?`,
		owner, string(state), before, limit)
	list, err := scanAll(rows, err, scanOneImage)
	return list, c.engine.Error("listing", err)
}

// IDs implements resources.Index.
func (c *Catalog) IDs(ctx context.Context, owner, prefix string, limit int) ([]string, error) {
	db, err := c.engine.DB(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.query(ctx, db.Read, `SELECT id FROM images WHERE owner=? AND state='saved' AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?`,
		owner, prefix, prefix+"~", limit)
	ids, err := scanAll(rows, err, scanValue[string])
	return ids, c.engine.Error("completing", err)
}

// Neighbors implements resources.Index.
func (c *Catalog) Neighbors(ctx context.Context, owner, id string) (newer, older string, err error) {
	q, err := c.lookup(ctx)
	if err != nil {
		return "", "", err
	}
	err = c.queryRow(ctx, q, `SELECT
		COALESCE((SELECT MIN(id) FROM images WHERE owner=? AND state='saved' AND id > ?), ''),
		COALESCE((SELECT MAX(id) FROM images WHERE owner=? AND state='saved' AND id < ?), '')`,
		owner, id, owner, id).Scan(&newer, &older)
	return newer, older, c.engine.Error("finding neighbors", err)
}

// Spending implements resources.Index.
func (c *Catalog) Spending(ctx context.Context, owner string, since, until time.Time) ([]resources.Spending, error) {
	db, err := c.engine.DB(ctx)
	if err != nil {
		return nil, err
	}
	statement, arguments := `SELECT day, owner, model, sandbox, COUNT(*), CAST(SUM(cost_micro_usd) AS BIGINT) FROM images WHERE charged=TRUE AND day >= ?`, []any{utcDay(since)}
	if !until.IsZero() {
		statement += ` AND day <= ?`
		arguments = append(arguments, utcDay(until))
	}
	if owner != "" {
		statement += ` AND owner=?`
		arguments = append(arguments, owner)
	}
	rows, err := c.query(ctx, db.Read, statement+` GROUP BY day, owner, model, sandbox ORDER BY day DESC, owner, model, sandbox`, arguments...)
	list, err := scanAll(rows, err, func(row scanner) (resources.Spending, error) {
		var s resources.Spending
		var sum int64
		err := row.Scan(&s.Day, &s.Owner, &s.Model, &s.Sandbox, &s.Images, &sum)
		s.CostUSD = float64(sum) / 1e6
		return s, err
	})
	return list, c.engine.Error("summing", err)
}

const (
	// sumSpent is the spending on selected images.
	sumSpent = `CAST(COALESCE(SUM(cost_micro_usd), 0) AS BIGINT)`
	// fromCharged selects the charged images of an owner, in the sandbox or outside it,
	// on the UTC day that follows.
	fromCharged = ` FROM images WHERE owner=? AND sandbox=? AND charged=TRUE AND day=`
)

// SpentToday implements resources.Index.
func (c *Catalog) SpentToday(ctx context.Context, owner string, sandbox bool) (int64, error) {
	q, err := c.lookup(ctx)
	if err != nil {
		return 0, err
	}
	sum, err := scanValue[int64](c.queryRow(ctx, q, `SELECT `+sumSpent+fromCharged+c.dialect.Day(":now"), owner, sandbox))
	return sum, c.engine.Error("summing", err)
}
