package resources

import (
	"context"
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

// Spending returns the spending of an owner from the UTC day of one time to that of
// another, newest day first, including removed images. An empty owner means all owners,
// and the zero time of until no end.
func (l *Library) Spending(ctx context.Context, owner string, since, until time.Time) ([]Spending, error) {
	return l.catalog.Spending(ctx, owner, since, until)
}

// SpentToday returns the owner's spending on the current UTC day, in US dollars. If
// sandbox is set, it returns the simulated spending of the sandbox instead.
func (l *Library) SpentToday(ctx context.Context, owner string, sandbox bool) (float64, error) {
	sum, err := l.catalog.SpentToday(ctx, owner, sandbox)
	return float64(sum) / 1e6, err
}
