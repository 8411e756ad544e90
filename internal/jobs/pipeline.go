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
	Client        *zai.Client // nil without a usable API key
	BadKey        *KeyError   // why the configured key is not usable, or nil
	Library       *resources.Library
	Process       string  // unique among the processes that share the library
	MaxConcurrent int     // requests in flight per model; 0 for the limits of the model table
	BudgetUSD     float64 // per owner and UTC day; 0 for no limit
	Sandbox       bool    // the client talks to the sandbox
	Now           func() time.Time
	Lease         time.Duration // time without renewal after which other processes take an image over; 30 s if zero
	BusyPause     time.Duration // first pause after a rejection for too many requests in flight; 1 s if zero
	WatchInterval time.Duration // between reads of an image that another process works on; 300 ms if zero
	RecoveryDelay time.Duration // before the first recovery, and between the end of a lease and the next recovery; 1 s if zero
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
		return 1 // the client rejects the request before it is sent
	}
	return m.MaxConcurrent
}

// Pipeline generates, downloads and saves images. It is safe for concurrent
// use.
type Pipeline struct {
	Config
	queues    *queues
	downloads chan struct{}   // slots for downloads of resumed images
	polls     chan struct{}   // slots for polling tasks of resumed images
	base      context.Context //nolint:containedctx // for paid work, which outlives the calls
	stop      context.CancelFunc
	rejecting chan struct{} // closed when no more work is accepted

	detach   func() // closes detached, once
	detached chan struct{}

	writing       sync.Mutex // held while a step is recorded; locked before mu
	mu            sync.Mutex
	running       map[string]*Job            // by image id
	pendingWrites map[string]resources.Image // images whose last step could not be written to the catalog
	delivering    map[string]int             // number of open deliveries of an image
	subscribers   []*subscriber
	watching      map[string]*watches // images of other processes that calls of this one wait for
	work          sync.WaitGroup
	closing       bool
}

// How many images may wait for a slot of one model, per client and in total,
// and how many resumed images are downloaded and polled at once.
const (
	maxWaitingClient = 250
	maxWaiting       = 1000
	maxDownloads     = 8
	maxPolls         = 64
)

// New starts a pipeline. Drain ends it.
func New(c Config) *Pipeline {
	p := &Pipeline{
		Config: c.withDefaults(), downloads: make(chan struct{}, maxDownloads), polls: make(chan struct{}, maxPolls),
		rejecting: make(chan struct{}), detached: make(chan struct{}), running: map[string]*Job{}, pendingWrites: map[string]resources.Image{},
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

// Find returns the job of this process for an image, or nil.
func (p *Pipeline) Find(id string) *Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[id]
}

// Detach makes calls that wait for images return their ids at once. The work
// continues. Later calls of Detach have no effect.
func (p *Pipeline) Detach() { p.detach() }

// Detached returns a channel that is closed by Detach.
func (p *Pipeline) Detached() <-chan struct{} { return p.detached }

// wallClock returns the time without its monotonic reading: leases must expire
// while the machine sleeps.
func (p *Pipeline) wallClock() time.Time { return p.Now().Round(0) }

// isAbandoned reports whether this process gave an image up before its request
// was sent.
func (p *Pipeline) isAbandoned(id string) bool {
	j := p.Find(id)
	return j != nil && j.isAbandoned()
}

func (p *Pipeline) isClosing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closing
}

// addWork registers work that Drain waits for; p.work.Done ends it. It returns
// false if no more work is accepted.
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

// spawn runs the work of a registered job in a goroutine and then ends the job.
func (p *Pipeline) spawn(j *Job, work func() resources.Image) {
	p.work.Go(func() { p.finish(j, p.recoverPanic(j, work)) })
}

// recoverPanic runs work and recovers from a panic, which must not end the
// program with all other jobs. What may have been paid for stays charged.
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

// finish ends a job and publishes its image.
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
		close(p.rejecting)
	}
	for _, j := range p.running {
		j.giveUp()
	}
}

// drainTimeout is how long work that Drain cuts off may take to record its last
// step.
const drainTimeout = 3 * time.Second

// Drain stops accepting work and waits until all work is done or ctx ends. Then
// it cuts off the remaining work, which the next process resumes from the
// catalog. The error reports that work was cut off, or that its last steps
// could not be written to the catalog.
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
		err = fmt.Errorf("paid work was cut off: %w", ctx.Err())
	}
	p.stop()
	select {
	case <-done:
	case <-time.After(drainTimeout):
	}
	if pending := p.flushAllPending(); pending != nil {
		err = errors.Join(err, fmt.Errorf("the last steps of paid work were not written to the catalog: %w", pending))
	}
	return err
}
