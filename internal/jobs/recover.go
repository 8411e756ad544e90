package jobs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

const (
	recoveryInterval = time.Minute
	maxClaim         = 10_000 // images claimed at once; the others wait for the next recovery
)

// lease returns the lease with which this process claims images.
func (p *Pipeline) lease() resources.Lease {
	return resources.Lease{Process: p.Process, Until: p.Now().Add(p.Lease), Sandbox: p.Sandbox}
}

// keepLeases renews the leases of running jobs and repeats failed writes to the
// catalog, until the pipeline ends.
func (p *Pipeline) keepLeases() {
	ticker := time.NewTicker(p.Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-p.base.Done():
			return
		}
		p.mu.Lock()
		ids := slices.Collect(maps.Keys(p.running))
		p.mu.Unlock()
		if len(ids) > 0 {
			if err := p.Library.Renew(p.base, p.lease(), ids); err != nil && p.base.Err() == nil {
				p.Log.Error("failed to renew leases", "error", err)
			}
		}
		_ = p.flushAllPending() // logged
	}
}

// RunRecovery resumes images that no process works on: at startup, every
// minute, and when a lease or the wait for the next attempt ends. It returns
// when ctx ends or no more work is accepted.
func (p *Pipeline) RunRecovery(ctx context.Context) {
	if p.Client == nil {
		return // nothing can be downloaded
	}
	for wait := p.RecoveryDelay; ; wait = p.recoverOnce(ctx) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		case <-p.rejecting:
			return
		}
	}
}

// recoverOnce resumes images and returns how long to wait before the next call.
func (p *Pipeline) recoverOnce(ctx context.Context) (wait time.Duration) {
	if !p.Library.Exists() {
		return recoveryInterval
	}
	_, err := p.Recover(ctx, false)
	next, nextErr := p.Library.NextClaim(ctx, p.lease())
	if err = errors.Join(err, nextErr); err != nil {
		if ctx.Err() == nil {
			p.Log.Warn("failed to recover images", "error", err)
		}
		return recoveryInterval
	}
	if next.IsZero() {
		return recoveryInterval
	}
	return min(recoveryInterval, max(next.Sub(p.Now()), 0)+p.RecoveryDelay)
}

// Recover resumes images that no process works on and returns their jobs.
// Downloads are repeated and tasks are polled; a request whose response was not
// recorded has an unknown outcome. If early is set, images are resumed even if
// their next attempt is not due yet.
func (p *Pipeline) Recover(ctx context.Context, early bool) ([]*Job, error) {
	if p.Client == nil || !p.addWork() {
		return nil, nil
	}
	defer p.work.Done()
	if err := p.flushAllPending(); err != nil {
		return nil, err
	}
	images, err := p.Library.Claim(ctx, p.lease(), maxClaim, early)
	if err != nil {
		return nil, err
	}
	var all []*Job
	for _, i := range images {
		// After a suspension, this process may find images that it works on.
		if j, started := p.resume(i, nil); started {
			p.Log.Info("resuming an image that no process works on", "id", i.ID, "state", string(i.State))
			all = append(all, j)
		}
	}
	return all, nil
}

// resume starts a job for a claimed image, unless this process works on it
// already.
func (p *Pipeline) resume(i resources.Image, watch func(Stage)) (j *Job, started bool) {
	p.mu.Lock()
	if other := p.running[i.ID]; other != nil {
		p.mu.Unlock()
		return other, false
	}
	j = p.newJob(i, watch)
	j.sent = true
	p.running[i.ID] = j
	if w := p.watching[i.ID]; w != nil {
		w.reported = true
	}
	p.mu.Unlock()
	release := func() {}
	if i.State == resources.Submitted && i.TaskID != "" { // the task is in flight at the service
		release = p.queues.of(i.Model).occupy().release
	}
	p.spawn(j, func() resources.Image {
		defer release()
		return p.resumeFrom(j)
	})
	return j, true
}

// resumeFrom continues a claimed image at the step at which its process left
// it.
func (p *Pipeline) resumeFrom(j *Job) resources.Image {
	i := j.Image()
	switch {
	case i.State == resources.Queued:
		return p.failOrphan(i, errEndedQueued)
	case i.State == resources.Answered && i.UpstreamURL == "":
		return p.failOrphan(i, errEndedAnswered)
	case i.State == resources.Answered:
		return p.withSlot(p.downloads, i, func() resources.Image { return p.fetch(j, zai.ImageData{URL: i.UpstreamURL}) })
	case i.TaskID == "":
		return p.failOrphan(i, errEndedSubmitted)
	}
	return p.withSlot(p.polls, i, func() resources.Image {
		j.enter(PhaseGenerating)
		response, err := p.Client.Await(j.base, i.TaskID)
		return p.handleResponse(j, response, err)
	})
}

// failOrphan records the failure of an image whose process died. It changes
// nothing if that process has continued after all.
func (p *Pipeline) failOrphan(i resources.Image, err error) resources.Image {
	state := i.State
	i.State, i.Charged, i.Failure = resources.Unknown, true, Describe(err)
	if state == resources.Queued {
		i.State, i.Charged = resources.Failed, false
	}
	switch err := p.recordIf(i, state); {
	case err == nil:
		p.Log.Warn("failed to resume an image", "id", i.ID, "kind", string(i.Failure.Kind), "state", string(i.State))
	case errors.Is(err, errLeaseLost):
		return p.reload(i)
	}
	return i
}

// withSlot runs work in one of the slots. If the program shuts down before a
// slot is free, the image is left to the next process.
func (p *Pipeline) withSlot(slots chan struct{}, i resources.Image, work func() resources.Image) resources.Image {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
		return work()
	case <-p.rejecting:
		return p.release(i)
	}
}

// release ends the lease of an image, so that the next process can resume it.
func (p *Pipeline) release(i resources.Image) resources.Image {
	p.park(i, time.Time{})
	return i
}

// park ends the lease of an image. Any process may claim it from the given time
// on, or at once if that is zero.
func (p *Pipeline) park(i resources.Image, until time.Time) {
	if err := p.Library.Park(context.WithoutCancel(p.base), i.ID, p.Process, until); err != nil {
		p.Log.Error("failed to release an image", "id", i.ID, "error", err)
	}
}

// nextTry returns when to fetch an image again. The wait grows with the age of
// the image, from one minute to six hours, and is a century once its link must
// have expired.
func nextTry(now, created time.Time) time.Time {
	const (
		linkLifetime = 31 * 24 * time.Hour
		never        = 100 * 365 * 24 * time.Hour
	)
	age := now.Sub(created)
	if age > linkLifetime {
		return now.Add(never)
	}
	return now.Add(min(max(age/2, time.Minute), 6*time.Hour))
}
