package jobs

import (
	"context"
	"errors"
	"time"

	"zai-image-mcp/resources"
)

// Watch makes the pipeline report the images that other processes finish from now on
// (Event.Remote), until the pipeline ends. It opens the catalog and polls it from then
// on, so it is called only if clients want to hear of images, or a call waits for an
// image of another process. Later calls have no effect.
func (p *Pipeline) Watch() {
	p.watchOnce.Do(func() {
		_, cursor, err := p.catalog.Changes(p.base, p.Process, "")
		if err != nil && p.base.Err() == nil {
			p.Log.Warn("failed to read the changes of other processes", "error", err)
		}
		p.inBackground(func() { p.watchChanges(cursor) })
	})
}

// watchChanges reads the changes of other processes after a cursor when the catalog
// signals one. It does so until the pipeline ends.
func (p *Pipeline) watchChanges(cursor resources.Cursor) {
	signal := make(chan struct{}, 1)
	p.inBackground(func() { p.keepWatching(signal) })
	var retry <-chan time.Time // after a failure
	for {
		select {
		case <-signal:
		case <-retry:
		case <-p.base.Done():
			return
		}
		next, err := p.readChanges(cursor)
		switch {
		case err == nil:
			retry = nil
		case retry == nil && p.base.Err() == nil:
			p.Log.Warn("failed to read the changes of other processes", "error", err)
			fallthrough
		default:
			retry = time.After(p.WatchInterval)
		}
		cursor = next
	}
}

// The pauses before the catalog is watched again after its connection was lost.
const (
	minWatchPause = 250 * time.Millisecond
	maxWatchPause = 5 * time.Second
)

// keepWatching sends a signal when other processes may have changed the catalog. It
// connects again when the connection is lost.
func (p *Pipeline) keepWatching(signal chan<- struct{}) {
	changed := func() {
		select {
		case signal <- struct{}{}:
		default:
		}
	}
	for pause := minWatchPause; ; pause = min(2*pause, maxWatchPause) {
		began := time.Now()
		err := p.catalog.Watch(p.base, changed)
		if p.base.Err() != nil {
			return
		}
		if time.Since(began) > maxWatchPause {
			pause = minWatchPause
		}
		if pause == minWatchPause {
			p.Log.Warn("failed to watch the catalog", "error", err)
		}
		select {
		case <-time.After(pause):
		case <-p.base.Done():
			return
		}
		changed() // what happened meanwhile was not signalled
	}
}

// readChanges handles the changes after a cursor and returns the next one. If the
// catalog cannot be read, it returns the cursor up to which it did.
func (p *Pipeline) readChanges(cursor resources.Cursor) (resources.Cursor, error) {
	for {
		changes, next, err := p.catalog.Changes(p.base, p.Process, cursor)
		if err != nil {
			return cursor, err
		}
		for _, c := range changes {
			p.publishChange(c)
			p.wakeFollowers(c.ID)
		}
		if len(changes) > 0 { // slots may be free
			for _, q := range p.queues.all() {
				q.wake()
			}
		}
		if len(changes) == 0 || next == cursor {
			return next, nil
		}
		cursor = next
	}
}

// follower is a call that waits for an image of another process.
type follower struct {
	wake chan struct{} // holds a signal if the image may have changed
}

// follow registers a follower of an image.
func (p *Pipeline) follow(id string) *follower {
	f := &follower{make(chan struct{}, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.following[id] == nil {
		p.following[id] = map[*follower]bool{}
	}
	p.following[id][f] = true
	return f
}

// unfollow removes a follower.
func (p *Pipeline) unfollow(id string, f *follower) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.following[id], f); len(p.following[id]) == 0 {
		delete(p.following, id)
	}
}

// wakeFollowers makes the followers of an image look at it.
func (p *Pipeline) wakeFollowers(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.following[id] {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// watchRemote waits for an image that another process works on. It returns the
// image when it is done, when ctx ends, when all callers have abandoned the
// job, or when no more work is accepted. It takes the image over if its process
// has died.
func (p *Pipeline) watchRemote(ctx context.Context, j *Job, f *follower) resources.Image {
	ticker := time.NewTicker(p.WatchInterval)
	defer ticker.Stop()
	i := j.Image()
	for i.Working() {
		select {
		case <-f.wake:
		case <-ticker.C: // its process may have died, which changes nothing in the catalog
		case <-ctx.Done():
			return i
		case <-j.waiting().Done():
			return i
		case <-p.rejecting:
			return i
		}
		if own := p.Find(i.ID); own != nil && own.join(nil) {
			return awaitJob(ctx, own)
		}
		current, err := p.Library.Image(ctx, i.Owner, i.ID)
		if errors.Is(err, resources.ErrNotFound) {
			i.State, i.Failure = resources.Removed, Describe(err)
			return i
		}
		if err != nil {
			continue // the next read may succeed
		}
		if i = current; !i.Working() {
			return i
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
