package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"time"

	"go.opentelemetry.io/otel/trace"

	"zai-image-mcp/resources"
)

// keptFor is how long images that are paid for wait for the call that did
// not get them to be made again.
const rejoinWindow = 15 * time.Minute

// Request is one call: N images from equal arguments. Its values are checked
// already.
type Request struct {
	Owner                                string
	Client                               string // who waits in turn with others, when requests have to wait
	Model, Prompt, Size, Quality, UserID string
	N                                    int     // 1 when zero
	PriceUSD                             float64 // of each
}

// Call is what became of a Request.
type Call struct {
	Jobs    []*Job // one for each image
	Joined  int    // how many of them, the first ones, belong to an equal call made before
	Refused error  // why there are fewer than were asked for; nil when there are not
}

// Abandon is for a caller who left.
func (c *Call) Abandon() {
	for _, j := range c.Jobs {
		j.Abandon()
	}
}

// Start reserves the money, writes the rows and sets to work. The work does not
// end with ctx: what is paid for is brought home. A call that equals one under
// way joins it, and so does one that equals a call whose images are there
// but did not reach their caller. The error says that nothing was begun.
// watch, if given, hears of each stage and must not block.
func (p *Pipeline) Start(ctx context.Context, r Request, watch func(Stage)) (*Call, error) {
	if p.Client == nil {
		return nil, p.noKey()
	}
	if !p.addWork() {
		return nil, ErrClosing
	}
	defer p.work.Done()
	for {
		drafts, busy := p.draft(ctx, r, watch)
		since := p.wallClock() // the leases count from before the catalog may keep us waiting
		reserved, err := p.reserve(ctx, r, drafts)
		for _, j := range drafts[len(reserved.New):] {
			p.discard(j)
		}
		if errors.Is(err, resources.ErrBudget) {
			busy, err = p.budgetError(ctx, r), nil
		}
		if err != nil {
			return nil, err
		}
		call := &Call{Joined: len(reserved.Joined)}
		again := false
		for _, row := range reserved.Joined {
			j, given := p.joinRow(ctx, row, watch)
			again = again || given
			call.Jobs = append(call.Jobs, j)
		}
		for n, row := range reserved.New {
			drafts[n].submitted = since
			p.begun(drafts[n], row)
			call.Jobs = append(call.Jobs, drafts[n])
		}
		switch {
		case again && len(reserved.New) == 0 && ctx.Err() == nil && !p.isClosing():
			call.Abandon() // one was given up just now, so this call begins anew
			continue
		case len(call.Jobs) == 0:
			return nil, busy
		case len(call.Jobs) < r.pictures():
			call.Refused = busy
		}
		return call, nil
	}
}

// noKey says why there is no Client.
func (p *Pipeline) noKey() error {
	if p.BadKey != nil {
		return p.BadKey
	}
	return ErrNoKey
}

func (r Request) pictures() int { return max(r.N, 1) }

// draft makes jobs that have a place in the queue, but no rows yet. Whoever
// finds such a row later finds its job too.
func (p *Pipeline) draft(ctx context.Context, r Request, watch func(Stage)) (drafts []*Job, err error) {
	for range r.pictures() {
		place, err := p.queues.of(r.Model).enter(r.Client)
		if err != nil {
			return drafts, err
		}
		id, err := p.Library.NewID()
		if err != nil {
			place.leave()
			return drafts, err
		}
		callID := id // a call has the id of its first image
		if len(drafts) > 0 {
			callID = drafts[0].id
		}
		row := resources.Image{
			ID: id, CallID: callID, Owner: r.Owner, State: resources.Queued, Model: r.Model, Prompt: r.Prompt, Size: r.Size, Quality: r.Quality,
			UserID: r.UserID, Sandbox: p.Sandbox, CostMicroUSD: microUSD(r.PriceUSD),
		}
		if place.hasSlot() {
			row.State = resources.Submitted
		}
		j := p.newJob(row, watch)
		j.place = place
		// The trace goes on in work that the call's own context must not end.
		j.base = trace.ContextWithSpanContext(p.base, trace.SpanContextFromContext(ctx))
		p.mu.Lock()
		p.running[id] = j
		p.mu.Unlock()
		drafts = append(drafts, j)
	}
	return drafts, nil
}

func (p *Pipeline) discard(j *Job) {
	p.mu.Lock()
	delete(p.running, j.id)
	p.mu.Unlock()
	j.place.leave()
	j.end()
}

func (p *Pipeline) reserve(ctx context.Context, r Request, drafts []*Job) (resources.Outcome, error) {
	reservation := resources.Reservation{
		Count: r.pictures(), Budget: microUSD(p.BudgetUSD), Lease: p.lease(), JoinKey: p.joinKey(r), RejoinWindow: rejoinWindow, Delivering: p.isDelivering, Abandoned: p.isAbandoned,
	}
	for _, j := range drafts {
		reservation.Images = append(reservation.Images, j.Image())
	}
	return p.Library.Reserve(ctx, reservation)
}

// begun sets to work on a reserved image.
func (p *Pipeline) begun(j *Job, row resources.Image) {
	j.set(row)
	if p.isClosing() {
		j.giveUp()
	}
	p.spawn(j, func() resources.Image { return p.make(j) })
}

// joinRow gives the job of an image of an equal call. The second result tells
// that it was given up in this moment.
func (p *Pipeline) joinRow(ctx context.Context, row resources.Image, watch func(Stage)) (j *Job, given bool) {
	if j := p.Find(row.ID); j != nil && !j.join(watch) {
		select {
		case <-j.Done():
		case <-ctx.Done():
		}
		return j, true
	} else if j != nil {
		return j, false
	}
	j, err := p.Follow(ctx, row, watch)
	if err != nil {
		return finished(row, watch), false
	}
	return j, false
}

// joinKey is the same for equal calls.
func (p *Pipeline) joinKey(r Request) string {
	parts, err := json.Marshal([]any{r.Owner, p.Sandbox, r.Model, r.Prompt, r.Size, r.Quality, r.pictures(), r.UserID})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(parts)
	return hex.EncodeToString(sum[:])
}

// budgetError adds the figures to a refusal for want of budget.
func (p *Pipeline) budgetError(ctx context.Context, r Request) error {
	spent, err := p.Library.SpentToday(ctx, r.Owner, p.Sandbox)
	if err != nil {
		return err
	}
	midnight := p.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	return &BudgetError{SpentUSD: spent, PriceUSD: r.PriceUSD, BudgetUSD: p.BudgetUSD, Resets: midnight}
}

func microUSD(usd float64) int64 { return int64(math.Round(usd * 1e6)) }
