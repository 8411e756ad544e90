package jobs

import (
	"context"
	"errors"
	"maps"
	"slices"

	"zai-image-mcp/resources"
)

// record writes an image to the catalog, even during shutdown. An image that
// cannot be written is kept and written later.
func (p *Pipeline) record(i resources.Image) error {
	p.writing.Lock()
	err := p.write(i)
	p.writing.Unlock()
	if err != nil && !errors.Is(err, resources.ErrSettled) {
		p.Log.Error("failed to record a step", "id", i.ID, "state", string(i.State), "link", i.UpstreamURL, "error", err)
	}
	return err
}

// write is record without the log, for callers that hold p.writing.
func (p *Pipeline) write(i resources.Image) error {
	err := p.Library.Record(context.WithoutCancel(p.base), i)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil || errors.Is(err, resources.ErrSettled) {
		delete(p.pendingWrites, i.ID)
	} else {
		p.pendingWrites[i.ID] = i
	}
	return err
}

// recordLater keeps an image to be written when the catalog can be written again.
func (p *Pipeline) recordLater(i resources.Image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pendingWrites[i.ID] = i
}

// isPending reports whether the last step of an image is still to be written.
func (p *Pipeline) isPending(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, pending := p.pendingWrites[id]
	return pending
}

// recordIf writes an image if in the catalog it is still in the given state and
// leased by this process. Otherwise it fails with errLeaseLost. Unlike record,
// it does not write later what it cannot write now.
func (p *Pipeline) recordIf(i resources.Image, state resources.State) error {
	err := p.Library.RecordIf(context.WithoutCancel(p.base), i, state, p.lease())
	if errors.Is(err, resources.ErrSettled) {
		return errLeaseLost
	}
	if err != nil {
		p.Log.Error("failed to record a step", "id", i.ID, "state", string(i.State), "error", err)
	}
	return err
}

// reload returns an image as it is in the catalog, or i if it cannot be read.
func (p *Pipeline) reload(i resources.Image) resources.Image {
	if current, err := p.Library.Image(context.WithoutCancel(p.base), i.Owner, i.ID); err == nil {
		return current
	}
	return i
}

// flushPending writes the last step of an image if that could not be written
// before.
func (p *Pipeline) flushPending(id string) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	i, pending := p.pendingWrites[id]
	p.mu.Unlock()
	if !pending {
		return nil
	}
	if err := p.write(i); err != nil && !errors.Is(err, resources.ErrSettled) {
		return err
	}
	return nil
}

// flushAllPending does so for all images. It stops at the first error.
func (p *Pipeline) flushAllPending() error {
	p.mu.Lock()
	ids := slices.Collect(maps.Keys(p.pendingWrites))
	p.mu.Unlock()
	for _, id := range ids {
		if err := p.flushPending(id); err != nil {
			return err
		}
	}
	return nil
}
