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

// rejoinWindow is how long a repeated call joins an image that was not
// delivered.
const rejoinWindow = 15 * time.Minute

// Request is one call for N images with the same arguments, which the caller
// has validated.
type Request struct {
	Owner                                string
	Client                               string // for the queue, in which clients take turns
	Model, Prompt, Size, Quality, UserID string
	N                                    int     // 1 if zero
	PriceUSD                             float64 // of each image
}

// Call is the result of a Request.
type Call struct {
	Jobs    []*Job // one per image
	Joined  int    // number of jobs at the start of Jobs that belong to an earlier equal call
	Refused error  // why there are fewer jobs than requested images; nil if all have a job
}

// Abandon removes the caller from all jobs.
func (c *Call) Abandon() {
	for _, j := range c.Jobs {
		j.Abandon()
	}
}

// Start reserves the money, writes the images to the catalog and starts the
// work, which continues when ctx ends, because what was paid for must be saved.
// A call joins an earlier equal one that is in progress, or whose images were
// not delivered. The error reports why the call has no jobs. watch receives
// each stage; it must not block or call the job, and may be nil.
func (p *Pipeline) Start(ctx context.Context, r Request, watch func(Stage)) (*Call, error) {
	if p.Client == nil {
		return nil, p.noKey()
	}
	if !p.addWork() {
		return nil, ErrClosing
	}
	defer p.work.Done()
	_ = p.flushAllPending() // logged; an equal call has to find images as they are
	for {
		drafts, refused := p.draft(ctx, r, watch)
		since := p.wallClock() // read before the write to the catalog, which may take long: the leases start no earlier
		reserved, err := p.reserve(ctx, r, drafts)
		for _, j := range drafts[len(reserved.New):] {
			p.discard(j)
		}
		if errors.Is(err, resources.ErrBudget) {
			refused, err = p.budgetError(ctx, r), nil
		}
		if err != nil {
			return nil, err
		}
		call := &Call{Joined: len(reserved.Joined)}
		raced := false
		for _, i := range reserved.Joined {
			j, abandoned := p.join(ctx, i, watch)
			raced = raced || abandoned
			call.Jobs = append(call.Jobs, j)
		}
		for n, i := range reserved.New {
			drafts[n].submitted = since
			p.start(drafts[n], i)
			call.Jobs = append(call.Jobs, drafts[n])
		}
		switch {
		case raced && len(reserved.New) == 0 && ctx.Err() == nil && !p.isClosing():
			call.Abandon() // an image was abandoned concurrently, so the call starts over
			continue
		case len(call.Jobs) == 0:
			return nil, refused
		case len(call.Jobs) < r.images():
			call.Refused = refused
		}
		return call, nil
	}
}

// noKey returns the error of a pipeline without a Client.
func (p *Pipeline) noKey() error {
	if p.BadKey != nil {
		return p.BadKey
	}
	return ErrNoKey
}

// images returns the number of requested images.
func (r Request) images() int { return max(r.N, 1) }

// draft returns jobs that have tickets but are not in the catalog yet. They are
// registered first, so that an image of this process that is found in the
// catalog always has its job. The error reports why there are fewer jobs than
// requested.
func (p *Pipeline) draft(ctx context.Context, r Request, watch func(Stage)) (drafts []*Job, err error) {
	for range r.images() {
		ticket, err := p.queues.of(r.Model).enter(r.Client)
		if err != nil {
			return drafts, err
		}
		id, err := p.Library.NewID()
		if err != nil {
			ticket.release()
			return drafts, err
		}
		callID := id // a call has the id of its first image
		if len(drafts) > 0 {
			callID = drafts[0].id
		}
		i := resources.Image{
			ID: id, CallID: callID, Owner: r.Owner, State: resources.Queued, Model: r.Model, Prompt: r.Prompt, Size: r.Size, Quality: r.Quality,
			UserID: r.UserID, Sandbox: p.Sandbox, CostMicroUSD: microUSD(r.PriceUSD),
		}
		if ticket.hasSlot() {
			i.State = resources.Submitted
		}
		j := p.newJob(i, watch)
		j.ticket = ticket
		// The work stays in the trace of the call but outlives its context.
		j.base = trace.ContextWithSpanContext(p.base, trace.SpanContextFromContext(ctx))
		p.mu.Lock()
		p.running[id] = j
		p.mu.Unlock()
		drafts = append(drafts, j)
	}
	return drafts, nil
}

// discard removes a draft that is not needed.
func (p *Pipeline) discard(j *Job) {
	p.mu.Lock()
	delete(p.running, j.id)
	p.mu.Unlock()
	j.ticket.release()
	j.end()
}

func (p *Pipeline) reserve(ctx context.Context, r Request, drafts []*Job) (resources.Outcome, error) {
	reservation := resources.Reservation{
		Count: r.images(), Budget: microUSD(p.BudgetUSD), Lease: p.lease(), JoinKey: p.joinKey(r), RejoinWindow: rejoinWindow,
		Delivering: p.isDelivering, Abandoned: p.isAbandoned,
	}
	for _, j := range drafts {
		reservation.Images = append(reservation.Images, j.Image())
	}
	return p.Library.Reserve(ctx, reservation)
}

// start starts the work on a reserved image.
func (p *Pipeline) start(j *Job, i resources.Image) {
	j.set(i)
	if p.isClosing() {
		j.giveUp()
	}
	p.spawn(j, func() resources.Image { return p.run(j) })
}

// join returns the job of an image of an earlier equal call. abandoned reports
// whether the job was given up concurrently; join then waits until it ends.
func (p *Pipeline) join(ctx context.Context, i resources.Image, watch func(Stage)) (j *Job, abandoned bool) {
	if j := p.Find(i.ID); j != nil && !j.join(watch) {
		select {
		case <-j.Done():
		case <-ctx.Done():
		}
		return j, true
	} else if j != nil {
		return j, false
	}
	j, err := p.Follow(ctx, i, watch)
	if err != nil {
		return finished(i, watch), false
	}
	return j, false
}

// joinKey returns a hash that is the same for equal calls.
func (p *Pipeline) joinKey(r Request) string {
	parts, err := json.Marshal([]any{r.Owner, p.Sandbox, r.Model, r.Prompt, r.Size, r.Quality, r.images(), r.UserID})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(parts)
	return hex.EncodeToString(sum[:])
}

// budgetError returns the error for a call that the budget does not cover.
func (p *Pipeline) budgetError(ctx context.Context, r Request) error {
	spent, err := p.Library.SpentToday(ctx, r.Owner, p.Sandbox)
	if err != nil {
		return err
	}
	midnight := p.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	return &BudgetError{SpentUSD: spent, PriceUSD: r.PriceUSD, BudgetUSD: p.BudgetUSD, Resets: midnight}
}

func microUSD(usd float64) int64 { return int64(math.Round(usd * 1e6)) }
