package resources

import (
	"context"
	"fmt"
	"time"
)

// Remove deletes an image: it first changes the row to Removed and then deletes the
// files, so that no row refers to a missing file. The cost still counts as spent.
// Remove fails with ErrWorking if the image is still being generated.
func (l *Library) Remove(ctx context.Context, owner, id string) error {
	const longestWork = time.Hour // an older image that is still Working was abandoned
	i, err := l.Image(ctx, owner, id)
	if err != nil {
		return err
	}
	if i.Working() && l.now().Sub(i.CreatedAt) < longestWork {
		return fmt.Errorf("%w: wait until it is done", ErrWorking)
	}
	return l.remove(ctx, owner, id)
}

// remove deletes an image in any state.
func (l *Library) remove(ctx context.Context, owner, id string) error {
	name, err := l.catalog.Remove(ctx, owner, id)
	if err != nil || name == "" {
		return err
	}
	if err := l.previews.Delete(ctx, previewName(name)); err != nil {
		l.log.WarnContext(ctx, "failed to remove a preview", "id", id, "error", err)
	}
	l.removeExports(ctx, id)
	return l.store.Delete(ctx, name)
}
