package tools

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
)

// beatEvery is how often a call that is being waited for gives a sign of life.
const beatEvery = 4 * time.Second

// report sends progress notifications for one call, if its caller asked for
// them. Only the goroutine of the call sends, so they keep their order.
type progressReporter struct {
	ctx    context.Context //nolint:containedctx // lives as long as the call
	server *server.MCPServer
	token  mcp.ProgressToken
	now    func() time.Time
	usual  time.Duration
	total  int
	last   float64   // value of the last notification
	sent   time.Time // when it was written
	stages chan jobs.Stage
}

// newReport makes the report for a call that waits for n images which
// usually take so long.
func newProgressReporter(ctx context.Context, request mcp.CallToolRequest, now func() time.Time, n int, usual time.Duration) *progressReporter {
	const phases = 4
	r := &progressReporter{ctx: ctx, server: server.ServerFromContext(ctx), now: now, total: n, usual: usual, stages: make(chan jobs.Stage, n*phases)}
	if request.Params.Meta != nil {
		r.token = request.Params.Meta.ProgressToken
	}
	return r
}

// watch hears of stages from the jobs' goroutines. The channel holds all that
// there can be; after the call nobody reads it and it goes with the call.
func (r *progressReporter) watch(stage jobs.Stage) {
	select {
	case r.stages <- stage:
	default:
	}
}

// close makes late stages silent.
func (r *progressReporter) close() { r.token = nil }

// enter tells of one image's new stage.
func (r *progressReporter) stageChanged(stage jobs.Stage, list []*jobs.Job) {
	text := string(stage.Phase)
	switch stage.Phase {
	case jobs.PhaseDone:
		text = outcome(stage.ID, list)
	case jobs.PhaseQueued:
		text = queued(list[place(stage.ID, list)-1])
	case jobs.PhaseGenerating, jobs.PhaseDownloading:
	}
	if r.total > 1 {
		text = fmt.Sprintf("image %d of %d: %s", place(stage.ID, list), r.total, text)
	}
	r.send(text, list)
}

func place(id string, list []*jobs.Job) int {
	for i, job := range list {
		if job.ID() == id {
			return i + 1
		}
	}
	return 1
}

// queued tells how long the queue is before an image.
func queued(job *jobs.Job) string {
	if n := job.Before(); n > 0 {
		return fmt.Sprintf("queued, %d before you", n)
	}
	return string(jobs.PhaseQueued)
}

func outcome(id string, list []*jobs.Job) string {
	for _, job := range list {
		if failure := job.Image().Failure; job.ID() == id && failure != nil {
			return "not made (" + failure.Kind + ")"
		}
	}
	return "saved"
}

// beat tells how long what is under way has taken.
func (r *progressReporter) heartbeat(list []*jobs.Job) {
	var parts []string
	for _, job := range list {
		stage := job.Stage()
		if stage.Phase == jobs.PhaseDone {
			continue
		}
		name := string(stage.Phase)
		if stage.Phase == jobs.PhaseQueued {
			name = queued(job)
		}
		text := fmt.Sprintf("%s, %d s", name, int(r.now().Sub(stage.Since).Seconds()))
		if stage.Phase == jobs.PhaseGenerating && r.usual > 0 {
			text += fmt.Sprintf(" of about %d", int(r.usual.Seconds()))
		}
		if len(parts) == 0 || parts[len(parts)-1] != text {
			parts = append(parts, text)
		}
	}
	if len(parts) > 0 {
		r.send(strings.Join(parts, "; "), list)
	}
}

// send writes one notification, with a value that grows each time, as the
// protocol asks. There is none when all is done: the result says that, and
// clients may handle a result before a notification that comes just before it,
// and then report its token as unknown.
func (r *progressReporter) send(message string, list []*jobs.Job) {
	total := float64(100 * r.total)
	value := max(r.done(list), r.last+0.01)
	if r.token == nil || r.server == nil || value >= total || allDone(list) {
		return
	}
	r.last = value
	r.notify(message, total)
}

func (r *progressReporter) notify(message string, total float64) {
	r.sent = time.Now()
	// A client that does not read its notifications loses them, not its image.
	_ = r.server.SendNotificationToClient(r.ctx, "notifications/progress", map[string]any{
		"progressToken": r.token, "progress": r.last, "total": total, "message": message,
	})
}

// quiet is the least time between the last notification and the result, in
// which clients handle the notification.
const quiet = 100 * time.Millisecond

// settle waits until the last notification is old enough for the result.
func (r *progressReporter) settle() {
	rest := quiet - time.Since(r.sent)
	if r.sent.IsZero() || rest <= 0 {
		return
	}
	select {
	case <-time.After(rest):
	case <-r.ctx.Done():
	}
}

func allDone(list []*jobs.Job) bool {
	return !slices.ContainsFunc(list, func(j *jobs.Job) bool { return j.Stage().Phase != jobs.PhaseDone })
}

// done estimates how far the call is, in hundredths of an image.
func (r *progressReporter) done(list []*jobs.Job) float64 {
	sum := 0.0
	for _, job := range list {
		stage := job.Stage()
		switch stage.Phase {
		case jobs.PhaseGenerating:
			sum += 5
			if spent := r.now().Sub(stage.Since); r.usual > 0 {
				sum += 80 * spent.Seconds() / (spent.Seconds() + r.usual.Seconds())
			}
		case jobs.PhaseDownloading:
			sum += 90
		case jobs.PhaseDone:
			sum += 100
		case jobs.PhaseQueued:
		}
	}
	return sum
}
