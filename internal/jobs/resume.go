package jobs

import (
	"context"
	"maps"
	"slices"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

const (
	tendEvery = time.Minute
	maxClaim  = 10_000 // rows taken up at once; what is above that waits a minute
)

// lease is what this process claims rows with.
func (p *Pipeline) lease() resources.Lease {
	return resources.Lease{Process: p.Process, Until: p.Now().Add(p.Lease)}
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
		ids, rows := slices.Collect(maps.Keys(p.running)), slices.Collect(maps.Values(p.unrecorded))
		p.mu.Unlock()
		if len(ids) > 0 {
			if err := p.Library.Renew(p.base, p.lease(), ids); err != nil && p.base.Err() == nil {
				p.Log.Error("leases are not renewed", "error", err)
			}
		}
		for _, row := range rows {
			_ = p.record(row) // logged
		}
	}
}

// Tend takes up what processes that died left behind: now, every minute, and
// when a lease runs out. It returns when ctx ends or no more work is taken.
func (p *Pipeline) Tend(ctx context.Context) {
	for {
		wait := tendEvery
		if p.Library.Exists() {
			if _, err := p.Recover(ctx, false); err != nil && ctx.Err() == nil {
				p.Log.Warn("what was left behind cannot be looked for", "error", err)
			}
			if next, err := p.Library.NextClaim(ctx, p.Process); err == nil && !next.IsZero() {
				wait = min(wait, max(next.Sub(p.Now()), 0)+time.Second)
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		case <-p.refused:
			return
		}
	}
}

// Recover takes up what nobody works on any more: what is answered is
// downloaded, what the service makes by itself is asked for, and of what was
// submitted the outcome is unknown. With early it does not wait for the time
// at which another try at a download is due.
func (p *Pipeline) Recover(ctx context.Context, early bool) ([]*Job, error) {
	if p.Client == nil || !p.begin() {
		return nil, nil // nothing can be brought home
	}
	defer p.work.Done()
	rows, err := p.Library.Claim(ctx, p.lease(), maxClaim, early)
	var all []*Job
	for _, row := range rows {
		p.Log.Info("taking up a picture that was left behind", "id", row.ID, "state", string(row.State))
		all = append(all, p.resume(row, nil))
	}
	return all, err
}

// resume goes on with a claimed row where it was left.
func (p *Pipeline) resume(row resources.Image, watch func(Stage)) *Job {
	row.Failure = nil
	p.mu.Lock()
	if other := p.running[row.ID]; other != nil {
		p.mu.Unlock()
		other.join(watch)
		return other
	}
	j := p.newJob(row, watch)
	p.running[row.ID] = j
	p.mu.Unlock()
	p.run(j, func() resources.Image { return p.goOn(j, row) })
	return j
}

func (p *Pipeline) goOn(j *Job, row resources.Image) resources.Image {
	switch {
	case row.State == resources.Queued:
		return p.notMade(row, errLeftQueued)
	case row.State == resources.Answered && row.UpstreamURL == "":
		return p.notMade(row, errLeftInside)
	case row.State != resources.Answered && row.TaskID == "":
		return p.notMade(row, errLeftSubmitted)
	}
	select {
	case p.fetches <- struct{}{}:
		defer func() { <-p.fetches }()
	case <-p.refused:
		return p.leaveOff(row)
	}
	if row.State == resources.Answered {
		return p.fetch(j, zai.ImageData{URL: row.UpstreamURL})
	}
	row.State = resources.Submitted
	j.set(row)
	j.enter(PhaseGenerating)
	response, err := p.Client.Await(j.base, row.TaskID)
	return p.answered(j, row, response, err)
}

// leaveOff leaves a row to the next process, when this one ends.
func (p *Pipeline) leaveOff(row resources.Image) resources.Image {
	p.park(row, time.Time{})
	return row
}

func (p *Pipeline) park(row resources.Image, until time.Time) {
	if err := p.Library.Park(context.WithoutCancel(p.base), row.ID, p.Process, until); err != nil {
		p.Log.Error("a row is not given up", "id", row.ID, "error", err)
	}
}

// nextTry is when fetching a picture is tried again: the older it is the
// rarer, until no link can be alive any more.
func nextTry(now, created time.Time) time.Time {
	const linksLive = 31 * 24 * time.Hour
	age := now.Sub(created)
	if age > linksLive {
		return now.Add(100 * 365 * 24 * time.Hour)
	}
	return now.Add(min(max(age/2, time.Minute), 6*time.Hour))
}
