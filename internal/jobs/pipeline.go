// Package jobs takes one paid image from its reservation to the library. It
// writes each step to the catalog before the next one is taken, so that what
// was paid for is known at any moment, also to the process that comes after
// one that died.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	BadKey        *KeyError   // why Client is nil although a key is set; nil when none is
	Library       *resources.Library
	Process       string  // names this process among those that share the library
	MaxConcurrent int     // requests in flight per model; 0 for the limits of the model table
	BudgetUSD     float64 // per owner and UTC day, 0 for no limit
	Sandbox       bool    // the client talks to the sandbox
	Now           func() time.Time
	Lease         time.Duration // after which others take up what this process left; 30 s when zero
	BusyPause     time.Duration // first pause after a refusal for too many requests in flight; 1 s when zero
	Log           *slog.Logger
	Tracer        trace.Tracer // nil for no traces
}

// Pipeline makes images. It is safe for concurrent use.
type Pipeline struct {
	Config
	queues  *queues
	fetches chan struct{}   // places for downloads of what is taken up again ...
	polls   chan struct{}   // ... and for asking about it
	base    context.Context //nolint:containedctx // the life of paid work, which no call's context may end
	stop    context.CancelFunc
	refused chan struct{} // closed when no new work is taken

	detach   func() // closes detached, once
	detached chan struct{}

	writing       sync.Mutex // one step is recorded after the other; comes before mu
	mu            sync.Mutex
	running       map[string]*Job
	pendingWrites map[string]resources.Image // rows as they should be, when the catalog could not be written
	delivering    map[string]int             // answers on their way that hold an image
	subscribers   []*subscriber
	work          sync.WaitGroup
	closing       bool
}

// How many images may wait for a slot, and how many are taken up again at
// once.
const (
	maxWaitingClient = 250
	maxWaiting       = 1000
	maxFetches       = 8
	maxPolls         = 64
)

const (
	defaultLease     = 30 * time.Second
	defaultBusyPause = time.Second
	maxBusyPause     = 30 * time.Second
)

// limit returns how many requests for a model may be in flight.
func (p *Pipeline) limit(model string) int {
	if p.MaxConcurrent > 0 || p.Client == nil {
		return p.MaxConcurrent
	}
	m, err := zai.FindModel(p.Client.Region(), model)
	if err != nil {
		return 1 // the request will be refused
	}
	return m.MaxConcurrent
}

// New makes a pipeline; Drain ends it.
func New(c Config) *Pipeline {
	p := &Pipeline{
		Config: c, fetches: make(chan struct{}, maxFetches), polls: make(chan struct{}, maxPolls),
		refused: make(chan struct{}), running: map[string]*Job{}, pendingWrites: map[string]resources.Image{}, delivering: map[string]int{},
		detached: make(chan struct{}),
	}
	p.detach = sync.OnceFunc(func() { close(p.detached) })
	p.queues = newQueues(p.limit, maxWaitingClient, maxWaiting)
	if p.BusyPause <= 0 {
		p.BusyPause = defaultBusyPause
	}
	if p.Tracer == nil {
		p.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if p.Lease <= 0 {
		p.Lease = defaultLease
	}
	p.base, p.stop = context.WithCancel(context.Background())
	go p.keepLeases()
	return p
}

// Waiting returns how many images wait for a slot.
func (p *Pipeline) Waiting() int { return p.queues.length() }

// Find gives the job at work on an image in this process, or nil.
func (p *Pipeline) Find(id string) *Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[id]
}

// wall is the time of the clock on the wall: leases run out while the machine
// sleeps, which the monotonic clock does not notice.
func (p *Pipeline) wallClock() time.Time { return p.Now().Round(0) }

// isGone tells of an image of which nothing was sent that it never will be.
func (p *Pipeline) isAbandoned(id string) bool {
	j := p.Find(id)
	return j != nil && j.isAbandoned()
}

func (p *Pipeline) isClosing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closing
}

// begin counts work that Drain waits for; false when no more is taken.
func (p *Pipeline) addWork() bool {
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
	j := &Job{id: row.ID, row: row, queue: queue, leave: leave, base: p.base, done: make(chan struct{}), now: p.Now, wanted: 1}
	if watch != nil {
		j.watchers = append(j.watchers, watch)
	}
	return j
}

// run sets to work on a job that is registered.
func (p *Pipeline) spawn(j *Job, work func() resources.Image) {
	p.work.Go(func() { p.finish(j, p.recoverPanic(j, work)) })
}

// guard keeps a defect in one job from ending the program and with it all the
// others. What may have been paid for stays charged.
func (p *Pipeline) recoverPanic(j *Job, work func() resources.Image) (row resources.Image) {
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

// finish settles what became of a job.
func (p *Pipeline) finish(j *Job, row resources.Image) {
	p.mu.Lock()
	delete(p.running, j.id)
	p.mu.Unlock()
	j.leave()
	j.finish(row)
	p.publish(Event{Image: row, Resumed: j.place == nil})
}

// Refuse takes no new work from now on and gives up what waits and was not
// sent yet. What was sent goes on.
func (p *Pipeline) StopAccepting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closing {
		p.closing = true
		close(p.refused)
	}
	for _, j := range p.running {
		j.giveUp()
	}
}

// Drain is Refuse, and then waits for what is under way, at most until ctx
// ends. What remains then is cut off: its rows say how far it came, and the
// next process goes on there.
func (p *Pipeline) Drain(ctx context.Context) error {
	p.StopAccepting()
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
	select {
	case <-done:
	case <-time.After(drainTimeout):
	}
	if late := p.flushAllPending(); late != nil {
		err = errors.Join(err, fmt.Errorf("the catalog does not say how far paid work came: %w", late))
	}
	return err
}

// lastSteps is the time in which work that is cut off can write how far it
// came.
const drainTimeout = 3 * time.Second
