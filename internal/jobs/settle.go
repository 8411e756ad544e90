package jobs

import (
	"cmp"
	"context"
	"errors"
	"runtime/debug"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// spawn runs the work of a registered job in a goroutine and then ends the job.
func (p *Pipeline) spawn(j *Job, work func(*Job) error) {
	p.work.Go(func() {
		lost := p.settle(j, p.recoverPanic(j, work))
		p.finish(j, lost)
	})
}

// recoverPanic runs work and returns a panic as errPanic: it must not end the
// program with all other jobs.
func (p *Pipeline) recoverPanic(j *Job, work func(*Job) error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			p.Log.Error("recovered a panic in a job", "id", j.id, "panic", value, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return work(j)
}

// finish ends a job and publishes its image, unless the job lost it: then the watcher
// publishes it.
func (p *Pipeline) finish(j *Job, lost bool) {
	i := j.Image()
	p.mu.Lock()
	delete(p.running, j.id)
	p.mu.Unlock()
	j.finish()
	p.wakeFollowers(j.id)
	if !lost {
		p.publish(Event{Image: i, Resumed: j.queue == nil})
	}
}

// settle is the only place that decides what the error of a job becomes: the state,
// the charge and the failure of its image, whether other processes may try again,
// and when. A nil error changes nothing. lost reports that the job had resumed the
// image and another process has continued it.
func (p *Pipeline) settle(j *Job, err error) (lost bool) {
	i := j.Image()
	switch {
	case err == nil:
		return false
	case i.State == resources.Answered && errors.Is(err, resources.ErrNotFound): // the user removed it meanwhile
		i.State, i.Failure = resources.Removed, Describe(err)
		j.set(i)
		return false
	case errors.Is(err, errLeft) || p.base.Err() != nil && canContinue(i):
		p.park(i, 0) // the next process resumes it
		return false
	}
	guard := p.always()
	if isOrphan(err) {
		guard = p.ifState(i.State) // nothing changes if its process has continued after all
	}
	change := func(i *resources.Image) { *i = settled(*i, err) }
	written := p.step(j, unchanged, guard, change)
	switch {
	case errors.Is(written, errLeaseLost), errors.Is(written, resources.ErrSettled):
		j.set(p.reload(i))
		return errors.Is(written, errLeaseLost)
	case written != nil && guard.From != "":
		j.set(settled(i, err))
	}
	i = j.Image()
	p.logFailure(i, err)
	if unrecorded, ok := errors.AsType[*unrecordedError](err); ok {
		p.recordLater(unrecorded.image)
	}
	if i.State.Recoverable() {
		p.park(i, nextTry(p.Now().Sub(i.CreatedAt)))
	}
	return false
}

// canContinue reports whether another process can finish the image free of charge.
func canContinue(i resources.Image) bool {
	return i.State == resources.Polling || i.State == resources.Answered && i.UpstreamURL != ""
}

// settled returns an image as it is after an error of its job.
func settled(i resources.Image, err error) resources.Image {
	i.Failure = failureOf(i, err)
	switch {
	case i.State == resources.Answered && i.UpstreamURL != "":
		i.State = resources.FetchFailed
		return i
	case i.State == resources.Answered && isOrphan(err):
		i.State = resources.Unknown // an equal call is told so before it pays again
		return i
	case i.State == resources.Answered:
		i.State = resources.Lost
		return i
	case i.State == resources.Polling && mayBeBilled(err):
		i.State = resources.PollFailed // the service may report the result later
	case i.State == resources.Submitted && mayBeBilled(err):
		i.State = resources.Unknown
	default:
		i.State, i.Charged = resources.Failed, false
	}
	if service, ok := errors.AsType[*zai.Error](err); ok {
		i.ContentFilter = contentFilters(service.ContentFilter)
		i.RequestID, i.LogID = cmp.Or(service.RequestID, i.RequestID), cmp.Or(service.LogID, i.LogID)
		i.UpstreamAnswer = service.Answer
	}
	return i
}

// mayBeBilled reports whether the service may have accepted the request of a job
// that failed before it received the image.
func mayBeBilled(err error) bool {
	return errors.Is(err, zai.KindOutcomeUnknown) || errors.Is(err, errEndedSubmitted) || errors.Is(err, errPanic)
}

// failureOf describes the error of a job for callers.
func failureOf(i resources.Image, err error) *resources.Failure {
	unrecorded, ok := errors.AsType[*unrecordedError](err)
	switch {
	case i.State != resources.Answered, errors.Is(err, errPanic), isOrphan(err):
		return Describe(err)
	case ok && i.UpstreamURL == "":
		return unrecordedFailure(unrecorded.err, i.ID)
	}
	return downloadFailure(err, i.ID, i.UpstreamURL)
}

// logFailure logs the error of a job whose image is settled.
func (p *Pipeline) logFailure(i resources.Image, err error) {
	switch i.State {
	case resources.FetchFailed, resources.Lost:
		p.Log.Error("failed to save a paid image", "id", i.ID, "kind", string(i.Failure.Kind), "error", err)
	default:
		p.Log.Warn("failed to generate an image", "id", i.ID, "kind", string(i.Failure.Kind), "state", string(i.State), "error", err)
	}
}

// park ends the lease of an image. Any process may claim it after the wait.
func (p *Pipeline) park(i resources.Image, wait time.Duration) {
	if err := p.catalog.Park(context.WithoutCancel(p.base), i.ID, p.Process, wait); err != nil {
		p.Log.Error("failed to release an image", "id", i.ID, "error", err)
	}
}

// nextTry returns how long to wait before an image of an age is fetched again:
// from one minute to six hours, and a century once its link must have expired.
func nextTry(age time.Duration) time.Duration {
	const (
		linkLifetime = 31 * 24 * time.Hour
		never        = 100 * 365 * 24 * time.Hour
	)
	if age > linkLifetime {
		return never
	}
	return min(max(age/2, time.Minute), 6*time.Hour)
}
