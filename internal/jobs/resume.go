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
	recoveryDelay    = time.Second // hosts start the program only to look at it, and wait for that
	maxClaim         = 10_000      // rows taken up at once; what is above that waits a minute
)

// lease is what this process claims rows with.
func (p *Pipeline) lease() resources.Lease {
	return resources.Lease{Process: p.Process, Until: p.Now().Add(p.Lease), Sandbox: p.Sandbox}
}

// keepLeases tells other processes that this one lives, as long as there is
// work, and tries again to write what the catalog did not take.
func (p *Pipeline) keepLeases() {
	beat := time.NewTicker(p.Lease / 3)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
		case <-p.base.Done():
			return
		}
		p.mu.Lock()
		ids := slices.Collect(maps.Keys(p.running))
		p.mu.Unlock()
		if len(ids) > 0 {
			if err := p.Library.Renew(p.base, p.lease(), ids); err != nil && p.base.Err() == nil {
				p.Log.Error("leases are not renewed", "error", err)
			}
		}
		_ = p.flushAllPending() // logged
	}
}

// Tend takes up what processes that died left behind: at the start, every
// minute, and when a lease runs out. It returns when ctx ends or no more work
// is taken.
func (p *Pipeline) RunRecovery(ctx context.Context) {
	if p.Client == nil {
		return // nothing can be brought home
	}
	for wait := recoveryDelay; ; wait = p.recoverOnce(ctx) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		case <-p.refused:
			return
		}
	}
}

// tend is one look, and when the next one is due.
func (p *Pipeline) recoverOnce(ctx context.Context) (wait time.Duration) {
	if !p.Library.Exists() {
		return recoveryInterval
	}
	_, err := p.Recover(ctx, false)
	next, nextErr := p.Library.NextClaim(ctx, p.lease())
	if err = errors.Join(err, nextErr); err != nil {
		if ctx.Err() == nil {
			p.Log.Warn("what was left behind cannot be looked for", "error", err)
		}
		return recoveryInterval
	}
	if next.IsZero() {
		return recoveryInterval
	}
	return min(recoveryInterval, max(next.Sub(p.Now()), 0)+time.Second)
}

// Recover takes up what nobody works on any more: what is answered is
// downloaded, what the service makes by itself is asked for, and of what was
// submitted the outcome is unknown. With early it does not wait for the time
// at which another try at a download is due.
func (p *Pipeline) Recover(ctx context.Context, early bool) ([]*Job, error) {
	if p.Client == nil || !p.addWork() {
		return nil, nil // nothing can be brought home
	}
	defer p.work.Done()
	if err := p.flushAllPending(); err != nil {
		return nil, err
	}
	rows, err := p.Library.Claim(ctx, p.lease(), maxClaim, early)
	if err != nil {
		return nil, err
	}
	var all []*Job
	for _, row := range rows {
		// A process that was suspended may find its own work among the rows.
		if j, begun := p.resume(row, nil); begun {
			p.Log.Info("taking up an image that was left behind", "id", row.ID, "state", string(row.State))
			all = append(all, j)
		}
	}
	return all, nil
}

// resume goes on with a claimed row where it was left, unless this process is
// at work on it already.
func (p *Pipeline) resume(row resources.Image, watch func(Stage)) (j *Job, begun bool) {
	p.mu.Lock()
	if other := p.running[row.ID]; other != nil {
		p.mu.Unlock()
		return other, false
	}
	j = p.newJob(row, watch)
	j.sent = true
	p.running[row.ID] = j
	p.mu.Unlock()
	release := func() {}
	if row.State == resources.Submitted && row.TaskID != "" { // the task is in flight at the service
		release = p.queues.of(row.Model).occupy().leave
	}
	p.spawn(j, func() resources.Image {
		defer release()
		return p.resumeFrom(j, row)
	})
	return j, true
}

func (p *Pipeline) resumeFrom(j *Job, row resources.Image) resources.Image {
	switch {
	case row.State == resources.Queued:
		return p.failOrphan(row, errEndedQueued)
	case row.State == resources.Answered && row.UpstreamURL == "":
		return p.failOrphan(row, errEndedAnswered)
	case row.State == resources.Answered:
		return p.withSlot(p.fetches, row, func() resources.Image { return p.fetch(j, zai.ImageData{URL: row.UpstreamURL}) })
	case row.TaskID == "":
		return p.failOrphan(row, errEndedSubmitted)
	}
	return p.withSlot(p.polls, row, func() resources.Image {
		j.enter(PhaseGenerating)
		response, err := p.Client.Await(j.base, row.TaskID)
		return p.handleResponse(j, row, response, err)
	})
}

// within waits for one of the places, and leaves the row to the next process
// when this one ends before.
func (p *Pipeline) withSlot(places chan struct{}, row resources.Image, work func() resources.Image) resources.Image {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
		return work()
	case <-p.refused:
		return p.release(row)
	}
}

// leaveOff leaves a row to the next process, when this one ends.
func (p *Pipeline) release(row resources.Image) resources.Image {
	p.park(row, time.Time{})
	return row
}

func (p *Pipeline) park(row resources.Image, until time.Time) {
	if err := p.Library.Park(context.WithoutCancel(p.base), row.ID, p.Process, until); err != nil {
		p.Log.Error("a row is not given up", "id", row.ID, "error", err)
	}
}

// nextTry is when fetching an image is tried again: the older it is the
// rarer, until no link can be alive any more.
func nextTry(now, created time.Time) time.Time {
	const linksLive = 31 * 24 * time.Hour
	age := now.Sub(created)
	if age > linksLive {
		return now.Add(100 * 365 * 24 * time.Hour)
	}
	return now.Add(min(max(age/2, time.Minute), 6*time.Hour))
}
