package jobs

import (
	"context"
	"errors"
	"time"

	"zai-image-mcp/resources"
)

// claimEveryN is the number of reads of a remote image between attempts to take
// it over.
const claimEveryN = 10

// Follow returns a job for an image. If another process on the same library
// works on the image, the job watches it until ctx ends. If no process works on
// it, Follow resumes it, free of charge. The job of an image that needs no work
// is done.
func (p *Pipeline) Follow(ctx context.Context, i resources.Image, watch func(Stage)) (*Job, error) {
	if j := p.Find(i.ID); j != nil && j.join(watch) {
		return j, nil
	}
	if p.isPending(i.ID) {
		if err := p.flushPending(i.ID); err != nil {
			return nil, err
		}
		i = p.reload(i)
	}
	i, err := p.checkFile(ctx, i)
	if err != nil {
		return nil, err
	}
	if !i.Recoverable() || !p.addWork() {
		return finished(i, watch), nil
	}
	defer p.work.Done()
	if p.Client == nil && i.Failure != nil {
		return nil, p.noKey()
	}
	j, err := p.claim(ctx, i.ID, watch)
	if j != nil || err != nil {
		return j, err
	}
	if i, err = p.Library.Image(ctx, i.Owner, i.ID); err != nil { // it may have changed in the meantime
		return nil, err
	}
	if !i.Working() {
		return finished(i, watch), nil
	}
	j = p.newJob(i, watch)
	p.beginWatch(i.ID)
	p.work.Go(func() {
		defer j.end()
		j.enter(PhaseGenerating)
		i := p.watchRemote(ctx, j)
		j.finish(i)
		if p.endWatch(i.ID, !i.Working()) {
			p.publish(Event{Image: i, Remote: true})
		}
	})
	return j, nil
}

// checkFile checks the file of a saved image. If the file is missing or
// damaged, it marks the image to be fetched again and returns it in its new
// state. Without a key, nothing can be fetched and checkFile does nothing.
func (p *Pipeline) checkFile(ctx context.Context, i resources.Image) (resources.Image, error) {
	if p.Client == nil {
		return i, nil
	}
	missing, err := p.Library.Missing(ctx, i)
	if err != nil || !missing {
		return i, err
	}
	return p.Library.Image(ctx, i.Owner, i.ID)
}

// watchRemote waits for an image that another process works on. It returns the
// image when it is done, when ctx ends, when all callers have abandoned the
// job, or when no more work is accepted.
func (p *Pipeline) watchRemote(ctx context.Context, j *Job) resources.Image {
	ticker := time.NewTicker(p.WatchInterval)
	defer ticker.Stop()
	i := j.Image()
	for reads := 1; i.Working(); reads++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return i
		case <-j.queueContext().Done():
			return i
		case <-p.rejecting:
			return i
		}
		current, err := p.Library.Image(ctx, i.Owner, i.ID)
		if errors.Is(err, resources.ErrNotFound) {
			i.State, i.Failure = resources.Removed, Describe(err)
			return i
		}
		if err != nil {
			continue // the next read may succeed
		}
		if i = current; reads%claimEveryN != 0 {
			continue
		}
		if claimed, err := p.claim(ctx, i.ID, nil); err == nil && claimed != nil {
			return awaitJob(ctx, claimed)
		}
	}
	return i
}

// awaitJob waits for a job of this process until ctx ends.
func awaitJob(ctx context.Context, j *Job) resources.Image {
	select {
	case <-j.Done():
	case <-ctx.Done():
		j.Abandon()
	}
	return j.Image()
}

// claim returns the job of this process for an image. If there is none, it
// takes the image over and resumes it. It returns nil if another process works
// on the image or there is nothing to do.
func (p *Pipeline) claim(ctx context.Context, id string, watch func(Stage)) (*Job, error) {
	if p.Client == nil {
		return nil, nil //nolint:nilnil // nothing can be downloaded
	}
	if j := p.Find(id); j != nil && j.join(watch) {
		return j, nil
	}
	i, ok, err := p.Library.ClaimOne(ctx, id, p.lease())
	if err != nil || !ok {
		return nil, err
	}
	j, started := p.resume(i, watch)
	if !started {
		j.join(watch)
	}
	return j, nil
}
