package resources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Repair repairs a problem if possible and returns what it did, or "" if it did
// nothing. An image whose file is missing or damaged becomes FetchFailed, to be
// downloaded again free of charge, or Lost if it has no link. Files that
// may contain an image are moved to .damaged and never deleted. Exports are deleted, because
// they can be made again.
func (l *Library) Repair(ctx context.Context, p Problem) (done string, err error) {
	switch p.Kind {
	case StaleFile:
		if p.ID != "" { // it may be a copy that the user wants
			return "moved to " + Quarantined, l.store.Quarantine(ctx, p.Path)
		}
		return "deleted", l.store.Delete(ctx, p.Path)
	case Damaged, Missing:
		return l.repairFile(ctx, p)
	case Moved:
		return l.adopt(ctx, "", p.ID, p.Path)
	case Orphaned:
		return l.repairSandbox(ctx, p)
	case StaleExport:
		return "deleted", l.exports.Delete(ctx, p.Path)
	case ExportsFull:
		deleted, err := l.trimExports(ctx, l.exportsLimit)
		return fmt.Sprintf("deleted the %d oldest files", deleted), err
	case Orphan, Unsaved, Unreadable, CatalogDamaged:
	}
	return "", nil
}

// repairSandbox marks a sandbox image as failed if its process has ended, because
// its sandbox ended too. Real images are left to recovery, which queries the API.
func (l *Library) repairSandbox(ctx context.Context, p Problem) (done string, err error) {
	i, err := l.image(ctx, p.ID)
	if err != nil || !i.Sandbox || !i.Working() {
		return "", err
	}
	failure := NewFailure(KindCancelled, "The sandbox ended before this image was made.", HintNotCharged)
	return "given up; it cost nothing", l.catalog.GiveUp(ctx, p.ID, *failure)
}

// Missing reports whether the file of a saved image is missing or differs from the
// recorded size, or still from the recorded hash if it did so when it was last read. If so, it has updated the row, which the caller must read again: if
// the file was moved within the folder, the row has its new name; otherwise the
// image becomes FetchFailed, to be downloaded again free of charge, or Lost if it has
// no link.
func (l *Library) Missing(ctx context.Context, i Image) (bool, error) {
	if i.State != Saved {
		return false, nil
	}
	problem, err := l.checkFile(ctx, i, l.verified.wasDamaged(i.ID))
	if err != nil || problem == nil || problem.Kind == Unreadable {
		return false, err
	}
	// Nobody moves the objects of a bucket by accident, and listing them takes long.
	if problem.Kind == Missing && l.store.Path("") != "" {
		if moved, err := l.findMoved(ctx, i); err != nil || moved {
			return moved, err
		}
	}
	l.log.WarnContext(ctx, "resetting an image: its file is missing or damaged", "id", i.ID, "problem", string(problem.Kind))
	if problem.Kind == Damaged {
		if err := l.store.Quarantine(ctx, i.Path); err != nil {
			return false, err
		}
	}
	return true, l.markForRefetch(ctx, *problem)
}

// findMoved searches the folder for the file of a saved image. If it finds the file
// unchanged, it records the new name and returns true.
func (l *Library) findMoved(ctx context.Context, i Image) (bool, error) {
	found, err := l.store.Walk(ctx)
	if err != nil {
		return false, err
	}
	for _, name := range slices.Sorted(maps.Keys(found.Files)) {
		if found.Files[name] != i.ID {
			continue
		}
		note, err := l.adopt(ctx, i.Owner, i.ID, name)
		if err == nil && note != "" {
			l.log.InfoContext(ctx, "found the moved file of an image", "id", i.ID)
			return true, nil
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return false, err
		}
	}
	return false, nil
}

// repairFile repairs a missing or damaged file. It first checks the file again,
// because the user may have restored it since.
func (l *Library) repairFile(ctx context.Context, p Problem) (done string, err error) {
	i, err := l.image(ctx, p.ID)
	if err != nil {
		return "", err
	}
	current, err := l.checkFile(ctx, i, true)
	if err != nil || current == nil {
		return "intact again", err
	}
	switch current.Kind { //nolint:exhaustive // checkFile returns no other kinds
	case Damaged:
		if err := l.store.Quarantine(ctx, i.Path); err != nil {
			return "", err
		}
		done = "moved to " + Quarantined + "; "
	case Missing:
	default:
		return "", nil
	}
	if err := l.markForRefetch(ctx, *current); err != nil {
		return "", err
	}
	if i.UpstreamURL == "" {
		return done + "lost, because its link is not known", nil
	}
	return done + "will be downloaded again", nil
}

// markForRefetch changes a saved image to FetchFailed, or to Lost if it has no link,
// and deletes its preview and its exports.
func (l *Library) markForRefetch(ctx context.Context, p Problem) error {
	retry := NewFailure(KindStorage, MessageFileChanged, "Call get_image with id "+p.ID+" to fetch it again free of charge, as long as Z.AI keeps it.")
	lost := *retry
	lost.Retryable, lost.Hint = false, "Tell the user; its link is not known, so the image has to be generated again."
	if err := l.catalog.Reset(ctx, p.ID, p.Path, *retry, lost); err != nil {
		return err
	}
	l.removeExports(ctx, p.ID)
	return l.previews.Delete(ctx, previewName(p.Path))
}

// SweepPreviews deletes the previews of images that are no longer saved, and
// returns how many it deleted.
func (l *Library) SweepPreviews(ctx context.Context) (deleted int, err error) {
	if l.previews.Present(ctx) != nil {
		return 0, nil //nolint:nilerr // there are no previews yet
	}
	found, err := l.previews.Walk(ctx)
	if err != nil {
		return 0, err
	}
	for name, id := range found.Files {
		i, err := l.catalog.Row(ctx, id)
		switch {
		case err == nil && i.State == Saved && previewName(i.Path) == name:
			continue
		case err == nil && i.State != Removed && l.now().Sub(i.UpdatedAt) < removalGrace:
			continue // may have been saved just now
		case err != nil && !errors.Is(err, ErrNotFound):
			return deleted, err
		}
		if err := l.previews.Delete(ctx, name); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}
