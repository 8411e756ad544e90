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

// heartbeatInterval is the time between progress notifications of a call whose
// images stay in their stages.
const heartbeatInterval = 4 * time.Second

// progressReporter sends progress notifications for one call if its caller
// requested them. Only the goroutine of the call sends them, so they keep their
// order.
type progressReporter struct {
	ctx     context.Context //nolint:containedctx // of the call
	server  *server.MCPServer
	token   mcp.ProgressToken
	now     func() time.Time
	typical time.Duration
	total   int       // images of the call
	last    float64   // value of the last notification
	sent    time.Time // when the last notification was sent
	stages  chan jobs.Stage
}

// newProgressReporter returns the reporter of a call that waits for n images.
// typical is how long one usually takes, or 0 if that is unknown.
func newProgressReporter(ctx context.Context, request mcp.CallToolRequest, now func() time.Time, n int, typical time.Duration) *progressReporter {
	const phases = 4
	r := &progressReporter{ctx: ctx, server: server.ServerFromContext(ctx), now: now, total: n, typical: typical, stages: make(chan jobs.Stage, n*phases)}
	if request.Params.Meta != nil {
		r.token = request.Params.Meta.ProgressToken
	}
	return r
}

// watch receives stages from the goroutines of the jobs. It never blocks: if
// the channel is full, it drops the stage.
func (r *progressReporter) watch(stage jobs.Stage) {
	select {
	case r.stages <- stage:
	default:
	}
}

// close stops notifications.
func (r *progressReporter) close() { r.token = nil }

// stageChanged reports the new stage of one image.
func (r *progressReporter) stageChanged(stage jobs.Stage, list []*jobs.Job) {
	text := string(stage.Phase)
	switch stage.Phase {
	case jobs.PhaseDone:
		text = outcome(stage.ID, list)
	case jobs.PhaseQueued:
		text = queued(list[position(stage.ID, list)-1])
	case jobs.PhaseGenerating, jobs.PhaseDownloading:
	}
	if r.total > 1 {
		text = fmt.Sprintf("image %d of %d: %s", position(stage.ID, list), r.total, text)
	}
	r.send(text, list)
}

// position returns the number of an image in its call, from 1. It is 1 for an
// image of an earlier start of the call.
func position(id string, list []*jobs.Job) int {
	for i, job := range list {
		if job.ID() == id {
			return i + 1
		}
	}
	return 1
}

// queued describes an image's position in the queue.
func queued(job *jobs.Job) string {
	if n := job.Ahead(); n > 0 {
		return fmt.Sprintf("queued, %d before you", n)
	}
	return string(jobs.PhaseQueued)
}

// outcome describes an image whose job is done.
func outcome(id string, list []*jobs.Job) string {
	for _, job := range list {
		if failure := job.Image().Failure; job.ID() == id && failure != nil {
			return "not saved (" + string(failure.Kind) + ")"
		}
	}
	return "saved"
}

// heartbeat reports how long the images in progress have been in their stages.
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
		if stage.Phase == jobs.PhaseGenerating && r.typical > 0 {
			text += fmt.Sprintf(" of about %d", int(r.typical.Seconds()))
		}
		if len(parts) == 0 || parts[len(parts)-1] != text {
			parts = append(parts, text)
		}
	}
	if len(parts) > 0 {
		r.send(strings.Join(parts, "; "), list)
	}
}

// send sends one notification, whose value must increase each time according to
// the protocol. It sends none once all images are done: the result follows at
// once, and clients may process the result before a notification that was sent
// directly before it, and then reject its token as unknown.
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
	// An error means that the client does not read its notifications, so it only
	// misses those.
	_ = r.server.SendNotificationToClient(r.ctx, "notifications/progress", map[string]any{
		"progressToken": r.token, "progress": r.last, "total": total, "message": message,
	})
}

// quiet is the shortest time between the last notification and the result, so
// that clients process the notification first.
const quiet = 100 * time.Millisecond

// settle waits until the result may follow the last notification.
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

// done estimates the progress of the call in hundredths of an image.
func (r *progressReporter) done(list []*jobs.Job) float64 {
	sum := 0.0
	for _, job := range list {
		stage := job.Stage()
		switch stage.Phase {
		case jobs.PhaseGenerating:
			sum += 5
			if spent := r.now().Sub(stage.Since); r.typical > 0 {
				sum += 80 * spent.Seconds() / (spent.Seconds() + r.typical.Seconds())
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
