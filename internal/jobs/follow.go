package jobs

import (
	"context"

	"zai-image-mcp/resources"
)

// Follow returns a job for an image. If another process on the same catalog
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
	if !i.State.Recoverable() || !p.addWork() {
		return finished(i, watch), nil
	}
	defer p.work.Done()
	if p.Client == nil && !i.Working() {
		return nil, p.noKey()
	}
	j, err := p.claim(ctx, i.ID, watch)
	if j != nil || err != nil {
		return j, err
	}
	p.Watch()
	return p.followRemote(ctx, i, watch)
}

// followRemote returns a job that watches an image which another process works on.
func (p *Pipeline) followRemote(ctx context.Context, i resources.Image, watch func(Stage)) (*Job, error) {
	f := p.follow(i.ID) // before the image is read, so that no change is missed
	current, err := p.Library.Image(ctx, i.Owner, i.ID)
	if err != nil || !current.Working() {
		p.unfollow(i.ID, f)
		if err != nil {
			return nil, err
		}
		return finished(current, watch), nil
	}
	j := p.newJob(current, watch)
	p.work.Go(func() {
		j.enter(PhaseGenerating)
		i := p.watchRemote(ctx, j, f)
		p.unfollow(i.ID, f)
		j.set(i)
		j.finish() // the watcher publishes the image
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

// claim returns the job of this process for an image. If there is none, it
// takes the image over and resumes it. It returns nil if another process works
// on the image or there is nothing to do.
func (p *Pipeline) claim(ctx context.Context, id string, watch func(Stage)) (*Job, error) {
	if p.Client == nil {
		return nil, nil //nolint:nilnil // nothing can be downloaded
	}
	// A claim also takes an image that a job of this process works on. That job must not
	// record its last step and end before resume finds it, or the image would be
	// downloaded again.
	lock := p.writeLock(id)
	lock.Lock()
	defer lock.Unlock()
	if j := p.Find(id); j != nil && j.join(watch) {
		return j, nil
	}
	list, err := p.catalog.Claim(ctx, resources.Claim{Lease: p.lease(), ID: id})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	j, started := p.resume(list[0], watch)
	if !started {
		j.join(watch)
	}
	return j, nil
}
