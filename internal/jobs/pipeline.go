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

// Config configures a Pipeline.
type Config struct {
	Client        *zai.Client // nil without an API key
	BadKey        *KeyError   // why Client is nil although a key is set; nil if none is
	Library       *resources.Library
	Process       string  // unique among the processes that share the library
	MaxConcurrent int     // requests in flight per model; 0 for the limits of the model table
	BudgetUSD     float64 // per owner and UTC day; 0 for no limit
	Sandbox       bool    // the client talks to the sandbox
	Now           func() time.Time
	Lease         time.Duration // time without renewal after which other processes take over; 30 s if zero
	BusyPause     time.Duration // first pause after a rejection for too many requests in flight; 1 s if zero
	WatchInterval time.Duration // between reads of an image that another process works on; 300 ms if zero
	RecoveryDelay time.Duration // before the first recovery, and between a lease's end and the next one; 1 s if zero
	Log           *slog.Logger
	Tracer        trace.Tracer // nil for no traces
}

const (
	defaultLease         = 30 * time.Second
	defaultBusyPause     = time.Second
	defaultWatchInterval = 300 * time.Millisecond
	defaultRecoveryDelay = time.Second // some hosts start the server only to probe it
)

// withDefaults returns the configuration with defaults in place of zeros.
func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.Lease, defaultLease}, {&c.BusyPause, defaultBusyPause},
		{&c.WatchInterval, defaultWatchInterval}, {&c.RecoveryDelay, defaultRecoveryDelay},
	} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
	return c
}

// limit returns how many requests for a model may be in flight.
func (c Config) limit(model string) int {
	if c.MaxConcurrent > 0 || c.Client == nil {
		return c.MaxConcurrent
	}
	m, err := zai.FindModel(c.Client.Region(), model)
	if err != nil {
		return 1 // the request will be rejected
	}
	return m.MaxConcurrent
}

// Pipeline makes images. It is safe for concurrent use.
type Pipeline struct {
	Config
	queues    *queues
	downloads chan struct{}   // slots for downloads of resumed images
	polls     chan struct{}   // slots for polling their tasks
	base      context.Context //nolint:containedctx // the life of paid work, which no call's context may end
	stop      context.CancelFunc
	refused   chan struct{} // closed when no new work is accepted

	detach   func() // closes detached, once
	detached chan struct{}

	writing       sync.Mutex // held while a step is recorded; locked before mu
	mu            sync.Mutex
	running       map[string]*Job
	pendingWrites map[string]resources.Image // images as the catalog should have them but could not take them
	delivering    map[string]int             // open deliveries that have an image
	subscribers   []*subscriber
	watching      map[string]*watches // images of other processes that calls wait for
	work          sync.WaitGroup
	closing       bool
}

// How many images may wait for a slot, in total and per client, and how many
// are resumed at once.
const (
	maxWaitingClient = 250
	maxWaiting       = 1000
	maxDownloads     = 8
	maxPolls         = 64
)

// New returns a pipeline, which Drain ends.
func New(c Config) *Pipeline {
	p := &Pipeline{
		Config: c.withDefaults(), downloads: make(chan struct{}, maxDownloads), polls: make(chan struct{}, maxPolls),
		refused: make(chan struct{}), detached: make(chan struct{}), running: map[string]*Job{}, pendingWrites: map[string]resources.Image{},
		delivering: map[string]int{}, watching: map[string]*watches{},
	}
	p.queues = newQueues(p.limit, maxWaitingClient, maxWaiting)
	p.detach = sync.OnceFunc(func() { close(p.detached) })
	p.base, p.stop = context.WithCancel(context.Background())
	go p.keepLeases()
	return p
}

// Waiting returns how many images wait for a slot.
func (p *Pipeline) Waiting() int { return p.queues.length() }

// Find returns the job of this process that works on an image, or nil.
func (p *Pipeline) Find(id string) *Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[id]
}

// Detach makes calls that wait for their images return at once with the ids.
// The work goes on. Later calls have no effect.
func (p *Pipeline) Detach() { p.detach() }

// Detached returns a channel that is closed by Detach.
func (p *Pipeline) Detached() <-chan struct{} { return p.detached }

// wallClock returns the time without its monotonic reading: leases must expire
// while the machine sleeps.
func (p *Pipeline) wallClock() time.Time { return p.Now().Round(0) }

// isAbandoned reports whether an image was given up before its request was
// sent.
func (p *Pipeline) isAbandoned(id string) bool {
	j := p.Find(id)
	return j != nil && j.isAbandoned()
}

func (p *Pipeline) isClosing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closing
}

// addWork counts work that Drain waits for. It returns false if no new work is
// accepted.
func (p *Pipeline) addWork() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.work.Add(1)
	return true
}

func (p *Pipeline) newJob(i resources.Image, watch func(Stage)) *Job {
	queue, leave := context.WithCancel(p.base)
	j := &Job{id: i.ID, image: i, queue: queue, leave: leave, base: p.base, done: make(chan struct{}), now: p.Now, wanted: 1}
	if watch != nil {
		j.watchers = append(j.watchers, watch)
	}
	return j
}

// spawn runs work for a job that is registered.
func (p *Pipeline) spawn(j *Job, work func() resources.Image) {
	p.work.Go(func() { p.finish(j, p.recoverPanic(j, work)) })
}

// recoverPanic runs work. A panic in one job must not end the program and with
// it all other jobs. What may have been paid for stays charged.
func (p *Pipeline) recoverPanic(j *Job, work func() resources.Image) (i resources.Image) {
	defer func() {
		if value := recover(); value != nil {
			p.Log.Error("recovered a panic in a job", "id", j.id, "panic", value, "stack", string(debug.Stack()))
			i = j.Image()
			if i.State == resources.Submitted {
				i.State = resources.Unknown
			}
			i.Failure = Describe(errPanic)
			_ = p.record(i) // logged
		}
	}()
	return work()
}

// finish ends a job and reports its image.
func (p *Pipeline) finish(j *Job, i resources.Image) {
	p.mu.Lock()
	delete(p.running, j.id)
	p.mu.Unlock()
	j.end()
	j.finish(i)
	p.publish(Event{Image: i, Resumed: j.ticket == nil})
}

// StopAccepting rejects new work and gives up images whose requests were not
// sent. Images whose requests were sent are finished.
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

// drainTimeout is the time in which work that is cut off can record how far it
// came.
const drainTimeout = 3 * time.Second

// Drain stops accepting work and waits until all work is done or ctx ends. Then
// it cuts off the remaining work, which the next process resumes from the
// catalog. The error says that work was cut off, or that the catalog does not
// have the last steps.
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
	if pending := p.flushAllPending(); pending != nil {
		err = errors.Join(err, fmt.Errorf("the catalog does not have the last steps of paid work: %w", pending))
	}
	return err
}
