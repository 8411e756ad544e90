package jobs

import (
	"context"
	"sync"
	"time"

	"zai-image-mcp/resources"
)

// Phase is the part of its work that a job is in.
type Phase string

// The phases in order. A job returns to PhaseQueued if its request is rejected
// because too many are in flight.
const (
	PhaseQueued      Phase = "queued"
	PhaseGenerating  Phase = "generating"
	PhaseDownloading Phase = "downloading"
	PhaseDone        Phase = "done" // saved, failed, or left to another process
)

// unchanged is the phase of a step that does not change the phase.
const unchanged Phase = ""

// Stage is the phase of an image and the time at which it began.
type Stage struct {
	ID    string // of the image
	Phase Phase
	Since time.Time
}

// Job is the work on one image, shared by all callers that wait for it. It is
// safe for concurrent use.
type Job struct {
	id     string
	now    func() time.Time
	base   context.Context //nolint:containedctx // for paid work: outlives the call and carries its trace
	done   chan struct{}
	client string // of the first caller
	queue  *queue // nil if the job sends no request

	granted   chan struct{} // closed when the catalog has given the image a slot
	submitted time.Time     // before state Submitted was recorded; read only by the job's own goroutine

	mu       sync.Mutex
	image    resources.Image
	stage    Stage
	watchers []func(Stage)
	wanted   int                // callers that have not abandoned the job
	stopped  bool               // the program is shutting down
	sent     bool               // the request may have been sent, so the job cannot be abandoned
	patience context.Context    //nolint:containedctx // for the wait for a slot; cancelled when the job is abandoned
	leave    context.CancelFunc // cancels patience
}

// newJob returns a job with one caller, who receives its stages. watch may be nil.
func (p *Pipeline) newJob(i resources.Image, watch func(Stage)) *Job {
	patience, leave := context.WithCancel(p.base)
	j := &Job{
		id: i.ID, image: i, patience: patience, leave: leave, base: p.base, done: make(chan struct{}), granted: make(chan struct{}),
		now: p.Now, wanted: 1,
	}
	if watch != nil {
		j.watchers = append(j.watchers, watch)
	}
	return j
}

// finished returns a job that is done, for an image that needs no work.
func finished(i resources.Image, watch func(Stage)) *Job {
	j := &Job{id: i.ID, now: func() time.Time { return i.CreatedAt }, done: make(chan struct{}), leave: func() {}, image: i}
	if watch != nil {
		j.watchers = append(j.watchers, watch)
	}
	j.finish()
	return j
}

// ID returns the id of the image.
func (j *Job) ID() string { return j.id }

// Done returns a channel that is closed when the job ends. The image is then
// saved or failed, or still Working if another process has to finish it.
func (j *Job) Done() <-chan struct{} { return j.done }

// Image returns the image as it was after the last step.
func (j *Job) Image() resources.Image {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.image
}

// Stage returns the current stage.
func (j *Job) Stage() Stage {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stage
}

// Ahead returns how many images got a slot before this one when slots were last
// given: 0 for the next image and for one that does not wait.
func (j *Job) Ahead() int {
	if j.queue == nil {
		return 0
	}
	return j.queue.ahead(j)
}

// join adds a caller. It returns false if the job was abandoned. watch receives
// the current stage and all later ones; it may be nil.
func (j *Job) join(watch func(Stage)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.unwanted() && !j.sent {
		return false
	}
	j.wanted++
	if watch != nil {
		j.watchers = append(j.watchers, watch)
		if j.stage.Phase != "" {
			watch(j.stage)
		}
	}
	return true
}

// unwanted reports whether no more requests may be sent for the job. The caller
// holds j.mu.
func (j *Job) unwanted() bool { return j.wanted <= 0 || j.stopped }

// Abandon removes a caller. A job without callers is given up, unless its
// request was sent: that is paid for, so the image is still downloaded and
// saved.
func (j *Job) Abandon() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.wanted--; j.wanted <= 0 {
		j.leave()
	}
}

// giveUp abandons the job for all callers, unless its request was sent.
func (j *Job) giveUp() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped = true
	j.leave()
}

// grant records that the catalog has given the image a slot. since is the time
// before that, or zero if the row must be checked before the request is sent.
func (j *Job) grant(since time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.hasSlot() {
		j.submitted = since
		close(j.granted)
	}
}

func (j *Job) hasSlot() bool {
	select {
	case <-j.granted:
		return true
	default:
		return false
	}
}

// markSent marks the job as sent. It returns false if the job was already
// abandoned or the program is shutting down.
func (j *Job) markSent() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent = !j.unwanted()
	return j.sent
}

// unmarkSent records that the request was not accepted, so that the job can be
// abandoned again. If all callers abandoned the job in the meantime and another
// one joined it, the job gets a new context for its wait.
func (j *Job) unmarkSent() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent = false
	if j.patience.Err() != nil && !j.unwanted() {
		j.patience, j.leave = context.WithCancel(j.base)
	}
}

// waiting returns the context of the wait for a slot.
func (j *Job) waiting() context.Context {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.patience
}

// enter changes the phase and notifies the watchers.
func (j *Job) enter(phase Phase) {
	stage := Stage{ID: j.id, Phase: phase, Since: j.now()}
	j.mu.Lock()
	j.stage = stage
	watchers := j.watchers
	j.mu.Unlock()
	for _, watch := range watchers {
		watch(stage)
	}
}

func (j *Job) set(i resources.Image) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.image = i
}

// finish ends the job.
func (j *Job) finish() {
	j.mu.Lock()
	j.leave()
	j.mu.Unlock()
	j.enter(PhaseDone)
	close(j.done)
}
