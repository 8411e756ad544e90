package jobs

import (
	"context"
	"errors"
	"io/fs"
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

// keepLeases renews the leases of running jobs and open deliveries and repeats
// failed writes to the catalog, until the pipeline ends.
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
		images := slices.Collect(maps.Keys(p.running))
		p.mu.Unlock()
		if deliveries := p.deliveries.all(); len(images)+len(deliveries) > 0 {
			if err := p.catalog.Renew(p.base, p.lease(), images, deliveries); err != nil && p.base.Err() == nil {
				p.Log.Error("failed to renew leases", "error", err)
			}
		}
		_ = p.flushAllPending() // an error was logged when the write failed first
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
	if !p.catalog.Exists() {
		return recoveryInterval
	}
	_, err := p.Recover(ctx, false)
	next, ok, nextErr := p.catalog.NextClaim(ctx, p.lease())
	if err = errors.Join(err, nextErr); err != nil {
		if ctx.Err() == nil {
			p.Log.Warn("failed to recover images", "error", err)
		}
		return recoveryInterval
	}
	if !ok {
		return recoveryInterval
	}
	return min(recoveryInterval, max(next, 0)+p.RecoveryDelay)
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
	images, err := p.catalog.Claim(ctx, resources.Claim{Lease: p.lease(), Limit: maxClaim, Early: early})
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
	p.mu.Unlock()
	p.wakeFollowers(i.ID)
	p.spawn(j, p.continueRun)
	return j, true
}

// continueRun continues a claimed image at the step at which its process left it.
func (p *Pipeline) continueRun(j *Job) error {
	i := j.Image()
	switch {
	case i.State == resources.Queued:
		return errEndedQueued
	case i.State == resources.Submitted:
		return p.saveFound(j, errEndedSubmitted)
	case i.State == resources.Answered && i.UpstreamURL == "":
		return p.saveFound(j, errEndedAnswered)
	case i.State == resources.Answered:
		return p.withSlot(p.downloads, func() error {
			j.enter(PhaseDownloading)
			return p.download(j, zai.ImageData{URL: i.UpstreamURL})
		})
	}
	return p.withSlot(p.polls, func() error {
		j.enter(PhaseGenerating)
		response, err := p.Client.Await(j.base, i.TaskID)
		if err != nil {
			return err
		}
		return p.fetch(j, response)
	})
}

// saveFound completes an image whose process saved the file but could not write the row, or
// returns otherwise if there is no file. An image whose row cannot be written now is left to
// the next recovery.
func (p *Pipeline) saveFound(j *Job, otherwise error) error {
	saved, err := p.Library.SaveFound(j.base, j.Image(), p.Process)
	switch {
	case err == nil:
		j.set(saved)
		p.Log.Info("found the file of an image that was not recorded", "id", saved.ID, "bytes", saved.Bytes)
		return nil
	case saved.State == resources.Saved:
		p.Log.Warn("failed to record the file of an image", "id", saved.ID, "error", err)
		return errLeft
	case !errors.Is(err, fs.ErrNotExist):
		p.Log.Warn("failed to look for the file of an image", "id", saved.ID, "error", err)
	}
	return otherwise
}

// withSlot runs work in one of the slots. If the program shuts down before a
// slot is free, the image is left to the next process.
func (p *Pipeline) withSlot(slots chan struct{}, work func() error) error {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
		return work()
	case <-p.rejecting:
		return errLeft
	}
}
