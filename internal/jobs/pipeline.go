package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"zai-image-mcp/resources"
)

// Pipeline generates, downloads and saves images. It is safe for concurrent
// use.
type Pipeline struct {
	Config
	catalog   resources.Catalog // of the library
	queues    *queues
	downloads chan struct{}   // slots for downloads of resumed images
	polls     chan struct{}   // slots for polling tasks of resumed images
	base      context.Context //nolint:containedctx // for paid work, which outlives the calls
	stop      context.CancelFunc
	rejecting chan struct{} // closed when no more work is accepted
	watchOnce sync.Once     // starts the watcher of the catalog

	detach   func() // closes detached, once
	detached chan struct{}

	writing            [32]sync.Mutex // held while a step is recorded, by the last character of the image's id; locked before mu
	mu                 sync.Mutex
	running            map[string]*Job            // by image id
	pendingWrites      map[string]resources.Image // images whose last step could not be written to the catalog
	failedReservations map[string]time.Time       // when they failed, by image id
	deliveries         *deliveries
	subscribers        []*subscriber
	following          map[string]map[*follower]bool // calls that wait for images of other processes, by image id
	work               sync.WaitGroup                // paid work
	background         sync.WaitGroup                // goroutines that end with the pipeline
	closing            bool
	stopped            bool
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
		Config: c.withDefaults(), catalog: c.Library.Catalog(), queues: newQueues(maxWaitingClient, maxWaiting),
		downloads: make(chan struct{}, maxDownloads), polls: make(chan struct{}, maxPolls),
		rejecting: make(chan struct{}), detached: make(chan struct{}),
		running: map[string]*Job{}, pendingWrites: map[string]resources.Image{}, failedReservations: map[string]time.Time{}, deliveries: newDeliveries(),
		following: map[string]map[*follower]bool{},
	}
	p.detach = sync.OnceFunc(func() { close(p.detached) })
	p.base, p.stop = context.WithCancel(context.Background())
	p.background.Go(p.keepLeases)
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

// inBackground runs f in a goroutine that Drain waits for after it has cancelled
// p.base. It reports false, and does nothing, after that.
func (p *Pipeline) inBackground(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.background.Go(f)
	}
	return !p.stopped
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
	worked := closedAfter(p.work.Wait)
	var err error
	select {
	case <-worked:
	case <-ctx.Done():
		err = fmt.Errorf("paid work was cut off: %w", ctx.Err())
	}
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.stop()
	limit := time.NewTimer(drainTimeout)
	defer limit.Stop()
	select {
	case <-closedAfter(func() { p.work.Wait(); p.background.Wait() }):
	case <-limit.C:
	}
	if pending := p.flushAllPending(); pending != nil {
		err = errors.Join(err, fmt.Errorf("the last steps of paid work were not written to the catalog: %w", pending))
	}
	return err
}

// closedAfter returns a channel that is closed when wait returns.
func closedAfter(wait func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		wait()
		close(done)
	}()
	return done
}
