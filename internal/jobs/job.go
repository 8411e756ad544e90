package jobs

import (
	"context"
	"sync"
	"time"

	"zai-image-mcp/resources"
)

// Phase is what is being done for a picture.
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
	ID    string // the picture
	Phase Phase
	Since time.Time
}

// Job is a picture at work. It is safe for concurrent use.
type Job struct {
	id    string
	watch func(Stage)
	now   func() time.Time
	queue context.Context //nolint:containedctx // ends the waiting for a slot, nothing else
	leave context.CancelFunc
	base  context.Context //nolint:containedctx // the life of paid work, in the trace of the call
	done  chan struct{}
	place *place // nil when nothing is to be asked for

	mu    sync.Mutex
	row   resources.Image
	stage Stage
}

// ID is the picture's.
func (j *Job) ID() string { return j.id }

// Done is closed when the picture is saved or given up.
func (j *Job) Done() <-chan struct{} { return j.done }

// Image is the picture's row as it stands.
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

// Before is how many pictures get their turn before this one.
func (j *Job) Before() int {
	if j.place == nil {
		return 0
	}
	return j.place.before()
}

// Abandon gives the picture up if nothing was sent yet. Later it does nothing:
// what is paid for is brought home.
func (j *Job) Abandon() { j.leave() }

func (j *Job) enter(phase Phase) {
	stage := Stage{ID: j.id, Phase: phase, Since: j.now()}
	j.mu.Lock()
	j.stage = stage
	j.mu.Unlock()
	if j.watch != nil {
		j.watch(stage)
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
