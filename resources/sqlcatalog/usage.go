package sqlcatalog

import (
	"context"

	"zai-image-mcp/resources"
)

// MonthUsage implements resources.Maintenance.
func (c *Catalog) MonthUsage(ctx context.Context, owner string) ([]resources.MonthUsage, error) {
	db, err := c.engine.DB(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.query(ctx, db.Read, `SELECT substr(day, 1, 7) AS month, owner, COUNT(*), CAST(SUM(bytes) AS BIGINT) FROM images
		WHERE state='saved' AND (?='' OR owner=?) GROUP BY month, owner ORDER BY month DESC, owner`, owner, owner)
	list, err := scanAll(rows, err, func(row scanner) (m resources.MonthUsage, err error) {
		err = row.Scan(&m.Month, &m.Owner, &m.Images, &m.Bytes)
		return m, err
	})
	return list, c.engine.Error("summing sizes", err)
}
