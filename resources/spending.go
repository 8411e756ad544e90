package resources

import (
	"context"
	"database/sql"
	"time"
)

// Spending is the cost of an owner's images of one model on one UTC day.
type Spending struct {
	Day     string  `json:"day"`
	Owner   string  `json:"owner"`
	Model   string  `json:"model"`
	Sandbox bool    `json:"sandbox"`
	Images  int     `json:"pictures"`
	CostUSD float64 `json:"cost_usd"`
}

// Spending returns the spending of an owner since the UTC day of a time, newest day
// first, including removed images. An empty owner means all owners.
func (l *Library) Spending(ctx context.Context, owner string, since time.Time) ([]Spending, error) {
	db, err := l.catalog.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.read.QueryContext(ctx, `SELECT day, owner, model, sandbox, COUNT(*), SUM(cost_micro_usd) FROM images
		WHERE charged=1 AND day>=? AND (?='' OR owner=?) GROUP BY day, owner, model, sandbox ORDER BY day DESC, owner, model, sandbox`,
		utcDay(since), owner, owner)
	if err != nil {
		return nil, l.catalog.storageError("summing", err)
	}
	defer rows.Close()
	var list []Spending
	for rows.Next() {
		var s Spending
		var sum int64
		if err := rows.Scan(&s.Day, &s.Owner, &s.Model, &s.Sandbox, &s.Images, &sum); err != nil {
			return nil, l.catalog.storageError("summing", err)
		}
		s.CostUSD = float64(sum) / 1e6
		list = append(list, s)
	}
	return list, l.catalog.storageError("summing", rows.Err())
}

// SpentToday returns the owner's spending on the current UTC day, in US dollars. If
// sandbox is set, it returns the simulated spending of the sandbox instead.
func (l *Library) SpentToday(ctx context.Context, owner string, sandbox bool) (float64, error) {
	db, err := l.catalog.open(ctx)
	if err != nil {
		return 0, err
	}
	sum, err := spent(ctx, db.lookup, owner, l.now(), sandbox)
	return float64(sum) / 1e6, l.catalog.storageError("summing", err)
}

// spent returns the owner's spending on the UTC day of t, in 1e-6 US dollars.
func spent(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, owner string, t time.Time, sandbox bool) (int64, error) {
	var sum int64
	err := q.QueryRowContext(ctx, `SELECT COALESCE(SUM(cost_micro_usd), 0) FROM images WHERE owner=? AND day=? AND sandbox=? AND charged=1`,
		owner, utcDay(t), sandbox).Scan(&sum)
	return sum, err
}
