package jobs

import (
	"context"
	"errors"
	"time"

	"zai-image-mcp/resources"
)

// lookEvery is how often an image is looked at on which another process
// works.
const lookEvery = 300 * time.Millisecond

// claimEvery is after how many looks it is tried to take the image over.
const claimEvery = 10

// Follow gives the job of an image, whoever works on it: this process, or
// another one on the same library, which is watched as long as ctx lives. What
// nobody works on any more is taken up again, free of charge.
func (p *Pipeline) Follow(ctx context.Context, row resources.Image, watch func(Stage)) (*Job, error) {
	if j := p.Find(row.ID); j != nil && j.join(watch) {
		return j, nil
	}
	row, err := p.lookForFile(ctx, row)
	if err != nil {
		return nil, err
	}
	if !isRecoverable(row) || !p.addWork() {
		return finished(row, watch), nil
	}
	defer p.work.Done()
	if p.Client == nil && row.Failure != nil {
		return nil, p.noKey()
	}
	if err := p.flushPending(row.ID); err != nil {
		return nil, err
	}
	j, err := p.claim(ctx, row.ID, watch)
	if j != nil || err != nil {
		return j, err
	}
	if row, err = p.Library.Image(ctx, row.Owner, row.ID); err != nil { // it was settled meanwhile, perhaps
		return nil, err
	}
	if !row.Working() {
		return finished(row, watch), nil
	}
	j = p.newJob(row, watch)
	p.work.Go(func() {
		defer j.leave()
		j.enter(PhaseGenerating)
		row := p.look(ctx, j)
		j.finish(row)
		p.publish(Event{Image: row, Remote: true})
	})
	return j, nil
}

// lookForFile returns the row of an image as it is after its file was looked
// for: one whose file is gone has to be fetched again, if there is a key.
func (p *Pipeline) lookForFile(ctx context.Context, row resources.Image) (resources.Image, error) {
	if p.Client == nil {
		return row, nil
	}
	missing, err := p.Library.Missing(ctx, row)
	if err != nil || !missing {
		return row, err
	}
	return p.Library.Image(ctx, row.Owner, row.ID)
}

// open tells that a row may still become a saved image.
func isRecoverable(row resources.Image) bool {
	switch row.State {
	case resources.Queued, resources.Submitted:
		return true
	case resources.Answered:
		return row.UpstreamURL != "" || row.Failure == nil
	case resources.Unknown:
		return row.TaskID != ""
	case resources.Saved, resources.Failed, resources.Removed:
	}
	return false
}

// look waits for a row that another process works on, and gives it as it is
// when ctx or the taking of new work ends.
func (p *Pipeline) look(ctx context.Context, j *Job) resources.Image {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	row := j.Image()
	for looks := 1; row.Working(); looks++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return row
		case <-j.queue.Done():
			return row
		case <-p.refused:
			return row
		}
		now, err := p.Library.Image(ctx, row.Owner, row.ID)
		if errors.Is(err, resources.ErrNotFound) {
			row.State, row.Failure = resources.Removed, Describe(err)
			return row
		}
		if err != nil {
			continue // the next look may be luckier
		}
		if row = now; looks%claimEvery != 0 {
			continue
		}
		if taken, err := p.claim(ctx, row.ID, nil); err == nil && taken != nil {
			return p.await(ctx, taken)
		}
	}
	return row
}

// await waits for a job of this process.
func (p *Pipeline) await(ctx context.Context, j *Job) resources.Image {
	select {
	case <-j.Done():
	case <-ctx.Done():
		j.Abandon()
	}
	return j.Image()
}

// takeUp claims a row and goes on where its process left it. It is nil when
// somebody works on it, or there is nothing to do.
func (p *Pipeline) claim(ctx context.Context, id string, watch func(Stage)) (*Job, error) {
	if p.Client == nil {
		return nil, nil //nolint:nilnil // without it nothing can be brought home
	}
	if j := p.Find(id); j != nil && j.join(watch) {
		return j, nil
	}
	row, ok, err := p.Library.ClaimOne(ctx, id, p.lease())
	if err != nil || !ok {
		return nil, err
	}
	j, begun := p.resume(row, watch)
	if !begun {
		j.join(watch)
	}
	return j, nil
}
