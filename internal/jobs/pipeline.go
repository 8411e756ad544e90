// Package jobs takes one paid picture from its reservation to the library. It
// writes each step to the catalog before the next one is taken, so that what
// was paid for is known at any moment.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Config is what a Pipeline needs.
type Config struct {
	Client        *zai.Client // nil when there is no key
	Library       *resources.Library
	MaxConcurrent int     // requests under way at once
	BudgetUSD     float64 // per owner and UTC day, 0 for no limit
	Sandbox       bool    // the client talks to the sandbox
	Now           func() time.Time
	Log           *slog.Logger
	Tracer        trace.Tracer                        // nil for no traces
	Settled       func(i resources.Image, again bool) // called with what became of each picture, again for one that was charged before; may be nil
}

// Pipeline makes pictures. It is safe for concurrent use.
type Pipeline struct {
	Config
	queue *queue
	base  context.Context //nolint:containedctx // the life of paid work, which no call's context may end
	stop  context.CancelFunc

	mu      sync.Mutex
	running map[string]*Job
	work    sync.WaitGroup
	closing bool
}

// How many pictures may wait for a slot.
const (
	maxWaitingClient = 250
	maxWaiting       = 1000
)

// New makes a pipeline; Drain ends it.
func New(c Config) *Pipeline {
	p := &Pipeline{Config: c, queue: newQueue(max(c.MaxConcurrent, 1), maxWaitingClient, maxWaiting), running: map[string]*Job{}}
	if p.Tracer == nil {
		p.Tracer = noop.NewTracerProvider().Tracer("")
	}
	p.base, p.stop = context.WithCancel(context.Background())
	return p
}

// Request is one picture to be made. Its values are checked already.
type Request struct {
	CallID, Owner                        string
	Client                               string // who waits in turn with others, when requests have to wait
	Model, Prompt, Size, Quality, UserID string
	PriceUSD                             float64
}

// Start reserves the money, writes the row and sets to work. The work does not
// end with ctx: what is paid for is brought home. The error says that nothing
// was begun. watch, if given, hears of each stage and must not block.
func (p *Pipeline) Start(ctx context.Context, r Request, watch func(Stage)) (*Job, error) {
	if p.Client == nil {
		return nil, ErrNoKey
	}
	if !p.begin() {
		return nil, ErrClosing
	}
	place, err := p.queue.enter(r.Client)
	if err != nil {
		p.work.Done()
		return nil, err
	}
	state := resources.Queued
	if place.hasSlot() {
		state = resources.Submitted
	}
	row, err := p.Library.Reserve(ctx, resources.Image{
		CallID: r.CallID, Owner: r.Owner, State: state, Model: r.Model, Prompt: r.Prompt, Size: r.Size, Quality: r.Quality,
		UserID: r.UserID, Sandbox: p.Sandbox, CostMicroUSD: microUSD(r.PriceUSD),
	}, microUSD(p.BudgetUSD))
	if err != nil {
		place.leave()
		p.work.Done()
		return nil, p.refused(ctx, r, err)
	}
	j := p.newJob(row, watch)
	j.place = place
	// The trace goes on in work that the call's own context must not end.
	j.base = trace.ContextWithSpanContext(p.base, trace.SpanContextFromContext(ctx))
	p.mu.Lock()
	p.running[row.ID] = j
	if p.closing {
		j.Abandon()
	}
	p.mu.Unlock()
	go func() {
		defer p.work.Done()
		p.finish(j, p.guard(j, func() resources.Image { return p.make(j) }))
	}()
	return j, nil
}

// refused adds the figures to a refusal for want of budget.
func (p *Pipeline) refused(ctx context.Context, r Request, err error) error {
	if !isBudget(err) {
		return err
	}
	spent, sumErr := p.Library.SpentToday(ctx, r.Owner, p.Sandbox)
	if sumErr != nil {
		return sumErr
	}
	midnight := p.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	return &BudgetError{SpentUSD: spent, PriceUSD: r.PriceUSD, BudgetUSD: p.BudgetUSD, Resets: midnight}
}

func microUSD(usd float64) int64 { return int64(math.Round(usd * 1e6)) }

// Refetch tries again to bring home a picture that is paid for but could not
// be fetched or saved. It costs nothing.
func (p *Pipeline) Refetch(row resources.Image) (*Job, error) {
	if p.Client == nil {
		return nil, ErrNoKey
	}
	row.Failure = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.running[row.ID]; other != nil {
		return other, nil
	}
	if p.closing {
		return nil, ErrClosing
	}
	p.work.Add(1)
	j := p.newJob(row, nil)
	p.running[row.ID] = j
	go func() {
		defer p.work.Done()
		p.finish(j, p.guard(j, func() resources.Image { return p.fetch(j, zai.ImageData{URL: row.UpstreamURL}) }))
	}()
	return j, nil
}

// leftBehind is the age at which nobody can be at work on a row any more: a
// call and its downloads take less.
const leftBehind = 15 * time.Minute

// Refetchable reports whether Refetch can help: the link is known, and the
// fetching has failed or its process is gone.
func (p *Pipeline) Refetchable(row resources.Image) bool {
	return row.State == resources.Answered && row.UpstreamURL != "" && (row.Failure != nil || p.Now().Sub(row.CreatedAt) > leftBehind)
}

// Waiting is how many pictures wait for a slot.
func (p *Pipeline) Waiting() int { return p.queue.length() }

// Find gives the job at work on a picture in this process, or nil.
func (p *Pipeline) Find(id string) *Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[id]
}

func (p *Pipeline) isClosing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closing
}

func (p *Pipeline) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.work.Add(1)
	return true
}

func (p *Pipeline) newJob(row resources.Image, watch func(Stage)) *Job {
	queue, leave := context.WithCancel(p.base)
	return &Job{id: row.ID, row: row, watch: watch, queue: queue, leave: leave, base: p.base, done: make(chan struct{}), now: p.Now}
}

// guard keeps a defect in one job from ending the program and with it all the
// others. What may have been paid for stays charged.
func (p *Pipeline) guard(j *Job, work func() resources.Image) (row resources.Image) {
	defer func() {
		if value := recover(); value != nil {
			p.Log.Error("panic in a job", "id", j.id, "panic", value, "stack", string(debug.Stack()))
			row = j.Image()
			if row.State == resources.Submitted {
				row.State = resources.Unknown
			}
			row.Failure = Describe(errPanic)
			_ = p.record(row) // logged
		}
	}()
	return work()
}

var errPanic = errors.New("panic")

// finish settles what became of a job.
func (p *Pipeline) finish(j *Job, row resources.Image) {
	p.mu.Lock()
	delete(p.running, j.id)
	p.mu.Unlock()
	j.leave()
	j.finish(row)
	if p.Settled != nil {
		defer func() {
			if value := recover(); value != nil {
				p.Log.Error("panic about a job", "id", j.id, "panic", value, "stack", string(debug.Stack()))
			}
		}()
		p.Settled(row, j.place == nil)
	}
}

// Refuse takes no new work from now on and gives up what waits and was not
// sent yet. What was sent goes on.
func (p *Pipeline) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	for _, j := range p.running {
		j.Abandon()
	}
}

// Drain is Refuse, and then waits for what is under way, at most until ctx
// ends. What remains then is cut off: its rows say how far it came.
func (p *Pipeline) Drain(ctx context.Context) error {
	p.Refuse()
	done := make(chan struct{})
	go func() {
		p.work.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("paid work is cut off: %w", ctx.Err())
	}
	p.stop()
	<-done
	return err
}
