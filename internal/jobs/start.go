package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"zai-image-mcp/internal/limit"
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

// images returns the number of requested images.
func (r Request) images() int { return max(r.N, 1) }

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

// lostRace reports whether the call joined an image that was then given up before
// its request was sent.
func (c *Call) lostRace() bool {
	return slices.ContainsFunc(c.Jobs[:c.Joined], func(j *Job) bool {
		i := j.Image()
		return i.State == resources.Failed && !i.Charged && i.Failure != nil && i.Failure.Kind == resources.KindCancelled
	})
}

// maxStarts is how often Run starts a call at most.
const maxStarts = 5

// Run starts a call and waits for it with wait. It starts the call over if an equal
// call, here or in another process, gave up an image that this one had joined. A
// call whose wait fails is over.
func (p *Pipeline) Run(ctx context.Context, r Request, watch func(Stage), wait func(*Call) error) (*Call, error) {
	call := &Call{}
	own := map[string]bool{} // images of earlier starts, by id
	for start := 1; ; start++ {
		next, err := p.Start(ctx, r, watch)
		if err != nil {
			call.Abandon()
			return nil, err
		}
		call.Abandon() // not before: next may have joined some of its images
		call = next
		call.disown(own)
		if !call.lostRace() {
			if err := wait(call); err != nil {
				return nil, err
			}
		}
		if !call.lostRace() || start == maxStarts || p.isClosing() {
			return call, nil
		}
		for _, j := range call.Jobs[call.Joined:] {
			own[j.id] = true
		}
	}
}

// disown does not count images that an earlier start of the call made as joined. It
// puts them behind those that the call joined.
func (c *Call) disown(own map[string]bool) {
	slices.SortStableFunc(c.Jobs[:c.Joined], func(a, b *Job) int {
		switch {
		case own[a.id] == own[b.id]:
			return 0
		case own[a.id]:
			return 1
		}
		return -1
	})
	for c.Joined > 0 && own[c.Jobs[c.Joined-1].id] {
		c.Joined--
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
	allowance := p.allowance(r.Owner)
	if allowance.ReadOnly || allowance.Refused {
		return nil, ErrReadOnly
	}
	if !p.addWork() {
		return nil, ErrClosing
	}
	defer p.work.Done()
	if err := p.cancelReservations(); err != nil {
		return nil, err // an equal call must not join them
	}
	_ = p.flushAllPending() // an equal call has to find images as they are; an error was logged before
	if err := p.Library.Prepare(ctx, p.Now()); err != nil {
		return nil, err
	}
	drafts, refused := p.draft(ctx, r, watch)
	since := p.wallClock() // read before the write to the catalog, which may take long: the leases start no earlier
	reserved, err := p.reserve(ctx, r, allowance, drafts)
	for _, j := range drafts[len(reserved.New):] {
		p.discard(j)
	}
	switch {
	case errors.Is(err, resources.ErrBudget):
		refused, err = p.budgetError(ctx, r, allowance), nil
	case errors.Is(err, resources.ErrDailyImages):
		refused, err = &DailyImagesError{Limit: allowance.Images, Resets: p.midnight()}, nil
	}
	if err != nil {
		p.cancelLater(drafts)
		return nil, err
	}
	call := &Call{Joined: len(reserved.Joined)}
	for _, i := range reserved.Joined {
		call.Jobs = append(call.Jobs, p.join(ctx, i, watch))
	}
	call.Jobs = append(call.Jobs, p.launch(drafts[:len(reserved.New)], reserved.New, since)...)
	switch {
	case len(call.Jobs) == 0:
		return nil, refused
	case len(call.Jobs) < r.images():
		call.Refused = refused
	}
	return call, nil
}

// noKey returns the error of a pipeline without a Client.
func (p *Pipeline) noKey() error {
	if p.BadKey != nil {
		return p.BadKey
	}
	return ErrNoKey
}

// draft returns jobs that have places in the queue but are not in the catalog yet.
// They are registered first, so that an image of this process that is found in the
// catalog always has its job. The error reports why there are fewer jobs than
// requested.
func (p *Pipeline) draft(ctx context.Context, r Request, watch func(Stage)) (drafts []*Job, err error) {
	for range r.images() {
		id, err := p.Library.NewID()
		if err != nil {
			return drafts, err
		}
		callID := id // a call has the id of its first image
		if len(drafts) > 0 {
			callID = drafts[0].id
		}
		j := p.newJob(resources.Image{
			ID: id, CallID: callID, Owner: r.Owner, State: resources.Queued, Model: r.Model, Prompt: r.Prompt, Size: r.Size, Quality: r.Quality,
			UserID: r.UserID, Sandbox: p.Sandbox, CostMicroUSD: microUSD(r.PriceUSD),
		}, watch)
		j.client, j.queue = r.Client, p.queues.of(r.Model)
		// The work stays in the trace of the call but outlives its context.
		j.base = trace.ContextWithSpanContext(p.base, trace.SpanContextFromContext(ctx))
		if err := j.queue.enter(j); err != nil {
			j.leave()
			return drafts, err
		}
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
	j.queue.leave(j)
	j.leave()
}

func (p *Pipeline) reserve(ctx context.Context, r Request, allowance limit.Allowance, drafts []*Job) (resources.Outcome, error) {
	reservation := resources.Reservation{
		Count: r.images(), Budget: microUSD(allowance.BudgetUSD), Daily: allowance.Images, Lease: p.lease(), Slots: p.slots(r.Model), Client: r.Client,
		JoinKey: p.joinKey(r), RejoinWindow: rejoinWindow,
	}
	for _, j := range drafts {
		reservation.Images = append(reservation.Images, j.Image())
	}
	return p.catalog.Reserve(ctx, reservation)
}

// launch starts the work on reserved images. since is the time before the
// reservation.
func (p *Pipeline) launch(list []*Job, images []resources.Image, since time.Time) []*Job {
	if len(list) == 0 {
		return nil
	}
	queue, waits := list[0].queue, false
	for n, j := range list {
		j.set(images[n])
		if images[n].State == resources.Queued {
			queue.wait(j)
			waits = true
			continue
		}
		j.grant(since)
		queue.leave(j)
	}
	if waits { // the first stage says how many images are ahead
		_ = p.grant(queue) // the dispatcher repeats it, and logs its error
		p.dispatch(queue)
	}
	for _, j := range list {
		if p.isClosing() {
			j.giveUp()
		}
		p.spawn(j, p.run)
	}
	return list
}

// join returns the job of an image of an earlier equal call. If the job was given
// up, it has ended.
func (p *Pipeline) join(ctx context.Context, i resources.Image, watch func(Stage)) *Job {
	if j := p.Find(i.ID); j != nil {
		if !j.join(watch) {
			select {
			case <-j.Done():
			case <-ctx.Done():
			}
		}
		return j
	}
	j, err := p.Follow(ctx, i, watch)
	if err != nil {
		return finished(i, watch)
	}
	return j
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
func (p *Pipeline) budgetError(ctx context.Context, r Request, allowance limit.Allowance) error {
	spent, err := p.Library.SpentToday(ctx, r.Owner, p.Sandbox)
	if err != nil {
		return err
	}
	return &BudgetError{SpentUSD: spent, PriceUSD: r.PriceUSD, BudgetUSD: allowance.BudgetUSD, AskOperator: p.Allowance != nil, Resets: p.midnight()}
}

// midnight returns the end of the UTC day.
func (p *Pipeline) midnight() time.Time {
	return p.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
}

func microUSD(usd float64) int64 { return int64(math.Round(usd * 1e6)) }
