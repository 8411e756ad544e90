package resources

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

// Reservation describes the images of a call that is about to be paid for.
type Reservation struct {
	Images []Image // to be made; they differ only in State; Reserve sets missing ids
	Count  int     // number of images of the call, including joined ones
	Budget int64   // limit per owner and UTC day in 1e-6 US dollars; 0 for no limit
	Lease  Lease

	JoinKey      string               // the same for equal calls; "" joins nothing
	RejoinWindow time.Duration        // how long an undelivered image can be joined
	Delivering   func(id string) bool // reports whether this process is delivering an image; may be nil
	Abandoned    func(id string) bool // reports whether this process is abandoning an image; may be nil
}

// Outcome is the result of a Reservation.
type Outcome struct {
	Joined []Image // images of an equal call that are in progress, or made and not delivered
	New    []Image // the first of Reservation.Images, now reserved
}

// joinAge is the maximum age of a call that can be joined.
const joinAge = 24 * time.Hour

// Reserve calls Prepare and then durably writes the rows of images that are about to
// be paid for. One transaction, which holds the write lock, finds an equal call,
// sums the owner's spending and writes the rows, so budget and joining are exact
// across processes. Reserve fails with ErrBudget if the budget does not cover all
// images; the Outcome then contains those that it covers.
func (l *Library) Reserve(ctx context.Context, r Reservation) (Outcome, error) {
	now := l.now().UTC().Truncate(time.Millisecond)
	images := make([]Image, 0, len(r.Images))
	for _, i := range r.Images {
		if i.ID == "" {
			id, err := l.NewID()
			if err != nil {
				return Outcome{}, err
			}
			i.ID = id
		}
		i.CreatedAt, i.Charged = now, true
		images = append(images, i)
	}
	r.Images = images
	if err := l.Prepare(ctx, r.Lease, now); err != nil {
		return Outcome{}, err
	}
	outcome, err := l.catalog.reserve(ctx, r, now)
	return outcome, l.catalog.storageError("reserving", err)
}

func (c *catalog) reserve(ctx context.Context, r Reservation, now time.Time) (Outcome, error) {
	write, err := c.writer(ctx)
	if err != nil {
		return Outcome{}, err
	}
	tx, err := write.BeginTx(ctx, nil)
	if err != nil {
		return Outcome{}, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	var outcome Outcome
	if r.JoinKey != "" {
		if outcome.Joined, err = joinable(ctx, tx, r, now); err != nil {
			return Outcome{}, err
		}
	}
	missing := r.Images[:max(0, min(len(r.Images), r.Count-len(outcome.Joined)))]
	if len(missing) == 0 {
		return outcome, nil
	}
	afford, err := affordable(ctx, tx, missing, r.Budget)
	if err != nil {
		return Outcome{}, err
	}
	for n, i := range missing[:afford] {
		if len(outcome.Joined) > 0 {
			i.CallID = outcome.Joined[0].CallID
			missing[n] = i
		}
		if err := insert(ctx, tx, i, now, r.JoinKey, r.Lease); err != nil {
			return Outcome{}, err
		}
	}
	if err := tx.Commit(); err != nil {
		return Outcome{}, err
	}
	outcome.New = missing[:afford]
	if afford < len(missing) {
		return outcome, ErrBudget
	}
	return outcome, nil
}

// joinable returns the images of the newest equal call that was not delivered:
// images in progress, and images that were or may have been paid for. It leaves
// out images for which no request was accepted, because a new request costs
// nothing extra, and images whose first failure is older than r.RejoinWindow,
// because retrying them must not keep the caller from a new image.
//
// It includes an image that a dead process submitted: it may have been billed, so
// the caller must be informed before paying again.
func joinable(ctx context.Context, tx *sql.Tx, r Reservation, now time.Time) ([]Image, error) {
	since := now.Add(-r.RejoinWindow).UnixMilli()
	candidates, err := tx.QueryContext(ctx, `SELECT id, call_id FROM images WHERE delivered_ms=0 AND join_key=? AND created_ms>? AND (
		state='saved' AND updated_ms>?
		OR (failed_ms=0 OR failed_ms>?) AND (
			state='answered' AND upstream_url<>'' AND updated_ms>?
			OR state IN ('submitted', 'unknown') AND updated_ms>?
			OR state IN ('queued', 'submitted', 'answered') AND lease_owner<>'' AND lease_until_ms>?)) ORDER BY id DESC`,
		r.JoinKey, now.Add(-joinAge).UnixMilli(), since, since, since, since, now.UnixMilli())
	if err != nil {
		return nil, err
	}
	defer candidates.Close()
	call := ""
	for call == "" && candidates.Next() {
		var id, callID string
		if err := candidates.Scan(&id, &callID); err != nil {
			return nil, err
		}
		if (r.Delivering == nil || !r.Delivering(id)) && (r.Abandoned == nil || !r.Abandoned(id)) {
			call = callID
		}
	}
	if err := candidates.Err(); err != nil || call == "" {
		return nil, err
	}
	candidates.Close()
	rows, err := tx.QueryContext(ctx, `SELECT `+imageColumns+` FROM images WHERE call_id=? AND join_key=? AND state<>'removed'
		AND (state<>'failed' OR charged=1) ORDER BY id`, call, r.JoinKey)
	if err != nil {
		return nil, err
	}
	list, err := scanImages(rows)
	return slices.DeleteFunc(list, func(i Image) bool { return r.Abandoned != nil && r.Abandoned(i.ID) }), err
}

// affordable returns how many of the images the remaining budget covers.
func affordable(ctx context.Context, tx *sql.Tx, images []Image, budget int64) (int, error) {
	if budget <= 0 {
		return len(images), nil
	}
	first := images[0]
	sum, err := spent(ctx, tx, first.Owner, first.CreatedAt, first.Sandbox)
	if err != nil {
		return 0, err
	}
	for n, i := range images {
		if sum += i.CostMicroUSD; i.CostMicroUSD > 0 && sum > budget {
			return n, nil
		}
	}
	return len(images), nil
}

// ConfirmDelivery records that a caller received these images, so that an equal
// call makes new ones.
func (l *Library) ConfirmDelivery(ctx context.Context, ids []string) error {
	write, err := l.catalog.writer(ctx)
	if err != nil {
		return err
	}
	tx, err := write.BeginTx(ctx, nil)
	if err != nil {
		return l.catalog.storageError("delivering", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, `UPDATE images SET delivered_ms=? WHERE id=? AND delivered_ms=0`, l.now().UnixMilli(), id); err != nil {
			return l.catalog.storageError("delivering", err)
		}
	}
	return l.catalog.storageError("delivering", tx.Commit())
}
