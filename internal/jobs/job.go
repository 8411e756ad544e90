package jobs

import (
	"context"
	"sync"
	"time"

	"zai-image-mcp/resources"
)

// Phase is what is being done for an image.
type Phase string

// The phases in their order.
const (
	PhaseQueued      Phase = "queued"
	PhaseGenerating  Phase = "generating"
	PhaseDownloading Phase = "downloading"
	PhaseDone        Phase = "done" // saved, or given up
)

// Stage is a phase and when it began.
type Stage struct {
	ID    string // the image
	Phase Phase
	Since time.Time
}

// Job is an image at work, and all that callers who want the same one share.
// It is safe for concurrent use.
type Job struct {
	id    string
	now   func() time.Time
	queue context.Context //nolint:containedctx // ends the waiting for a slot, nothing else
	leave context.CancelFunc
	base  context.Context //nolint:containedctx // the life of paid work, in the trace of the call
	done  chan struct{}
	place *place // nil when nothing is to be asked for

	submitted time.Time // when the row said so; only its own goroutine looks

	mu       sync.Mutex
	row      resources.Image
	stage    Stage
	watchers []func(Stage)
	wanted   int  // callers that did not abandon it
	left     bool // all of them did, or the program ends
	sent     bool // too late to be given up
}

// ID is the image's.
func (j *Job) ID() string { return j.id }

// Done is closed when the image is saved or given up.
func (j *Job) Done() <-chan struct{} { return j.done }

// Image is the image's row as it stands.
func (j *Job) Image() resources.Image {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.row
}

// Stage is what is being done now.
func (j *Job) Stage() Stage {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stage
}

// Before is how many images get their turn before this one.
func (j *Job) Ahead() int {
	if j.place == nil {
		return 0
	}
	return j.place.before()
}

// join adds a caller who wants the image too. It is false when it was given
// up, with nothing sent.
func (j *Job) join(watch func(Stage)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.abandoned() {
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

func (j *Job) abandoned() bool { return j.left && !j.sent }

func (j *Job) isAbandoned() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.abandoned()
}

// Abandon is for a caller who does not want the image any more. When no
// other does, it is given up if nothing was sent yet. Later that does nothing:
// what is paid for is brought home.
func (j *Job) Abandon() {
	j.mu.Lock()
	j.wanted--
	last := j.wanted <= 0
	j.left = j.left || last
	j.mu.Unlock()
	if last {
		j.leave()
	}
}

// send is the last moment at which an image can be given up: it is false when
// it was.
func (j *Job) send() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent = !j.left
	return j.sent
}

// unsend notes that the request was refused: the job can be abandoned again.
func (j *Job) unsend() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent = false
}

func (j *Job) giveUp() {
	j.mu.Lock()
	j.left = true
	j.mu.Unlock()
	j.leave()
}

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

func (j *Job) set(row resources.Image) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.row = row
}

func (j *Job) finish(row resources.Image) {
	j.set(row)
	j.enter(PhaseDone)
	close(j.done)
}

// finished is the job of an image on which nothing is left to do.
func finished(row resources.Image, watch func(Stage)) *Job {
	j := &Job{id: row.ID, now: func() time.Time { return row.CreatedAt }, done: make(chan struct{}), leave: func() {}, row: row}
	if watch != nil {
		j.watchers = append(j.watchers, watch)
	}
	j.finish(row)
	return j
}
