package resources

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

// Lease says which process works on a row, and until when it does unless it
// says so again. What a process leaves behind that died is taken up by others
// after that.
type Lease struct {
	Process string
	Until   time.Time
	Sandbox bool // the process talks to the sandbox, and claims only its rows
}

// Reservation is a call that is about to be paid for.
type Reservation struct {
	Images []Image // to be made, alike but for their state; Reserve sets ids that are missing
	Count  int     // images that the call wants, of which an equal one may have some
	Budget int64   // of the owner's UTC day, 1e-6 US dollars; 0 for no limit
	Lease  Lease

	JoinKey      string               // equal calls have the same; "" joins nothing
	RejoinWindow time.Duration        // how long paid images wait for a caller who did not get them
	Delivering   func(id string) bool // images whose answer is on its way already; may be nil
	Abandoned    func(id string) bool // images that are being given up in this moment; may be nil
}

// Reserved is what became of a Reservation.
type Outcome struct {
	Joined []Image // images of an equal call: under way, or made and not delivered
	New    []Image // of those to be made, the first ones
}

// joinAge bounds how old a call is that can be joined.
const joinAge = 24 * time.Hour

// Reserve writes the rows of images that are about to be paid for, durably,
// after it made sure that they can be saved. Looking for an equal call, the
// owner's spending and the new rows are one transaction that holds the write
// lock, so that budget and joining are exact across processes. ErrBudget says
// that not all could be afforded; what is reserved then is reserved.
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
	reserved, err := l.catalog.reserve(ctx, r, now)
	return reserved, l.catalog.storageError("reserving", err)
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
	var done Outcome
	if r.JoinKey != "" {
		if done.Joined, err = joinable(ctx, tx, r, now); err != nil {
			return Outcome{}, err
		}
	}
	want := r.Images[:max(0, min(len(r.Images), r.Count-len(done.Joined)))]
	if len(want) == 0 {
		return done, nil
	}
	afford, err := affordable(ctx, tx, want, r.Budget)
	if err != nil {
		return Outcome{}, err
	}
	for n, i := range want[:afford] {
		if len(done.Joined) > 0 {
			i.CallID = done.Joined[0].CallID
			want[n] = i
		}
		if err := insert(ctx, tx, i, now, r.JoinKey, r.Lease); err != nil {
			return Outcome{}, err
		}
	}
	if err := tx.Commit(); err != nil {
		return Outcome{}, err
	}
	done.New = want[:afford]
	if afford < len(want) {
		return done, ErrBudget
	}
	return done, nil
}

// joinable finds the images of the newest equal call that waits for its
// answer: one that is under way, or whose images are paid for, or may be, and
// were not delivered. Images of which nothing was accepted are left out, as they
// can be made anew, and so are those whose first failure is older than
// r.Within: trying them again must not keep the caller from a new image.
//
// A row that was submitted by a process that died joins too: its call may have
// been billed, which the caller has to hear before it pays again.
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

// affordable is how many of the images the budget leaves money for.
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

// unixMilli is a time in the catalog, 0 for none.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Delivered notes that a caller has these images, so that an equal call
// makes new ones.
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
