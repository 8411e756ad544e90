package resources

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// damagedDir is where repair puts files that are not what was saved.
const damagedDir = ".damaged"

// Repair mends what can be mended in the folder and tells what it did; "" when
// there was nothing it could do. An image whose file is missing or damaged
// becomes one that is paid for and waits to be fetched again. Files that may
// hold an image are put aside, not deleted.
func (l *Library) Repair(ctx context.Context, p Problem) (done string, err error) {
	switch p.Kind {
	case StaleFile:
		if p.ID != "" { // it may be a copy that the user wants
			return "put aside in " + damagedDir, l.pictures.quarantine(p.Path)
		}
		return "deleted", l.pictures.remove(p.Path)
	case Damaged, Missing:
		return l.repairFile(ctx, p)
	case Moved:
		return l.adopt(ctx, "", p.ID, p.Path)
	case Orphaned:
		return l.repairSandbox(ctx, p)
	case Orphan, Unsaved, Unreadable, CatalogDamaged:
	}
	return "", nil
}

// repairSandbox gives up an image whose sandbox ended with its process. Real
// images are left to recovery, which asks the service.
func (l *Library) repairSandbox(ctx context.Context, p Problem) (done string, err error) {
	i, err := l.catalog.getByID(ctx, p.ID)
	if err != nil || !i.Sandbox || !i.Working() {
		return "", err
	}
	write, err := l.catalog.writer(ctx)
	if err != nil {
		return "", err
	}
	failure := NewFailure(KindCancelled, "The sandbox ended before this image was made.", HintNotCharged)
	_, err = write.ExecContext(ctx, `UPDATE images SET state='failed', charged=0, failure=?, updated_ms=?, lease_owner='', lease_until_ms=0
		WHERE id=? AND sandbox=1 AND state IN ('queued', 'submitted', 'answered') AND lease_until_ms<?`,
		toJSON(failure, false), l.now().UnixMilli(), p.ID, l.now().UnixMilli())
	return "given up; nothing was paid for it", l.catalog.failure("writing row "+p.ID, err)
}

// Missing reports whether the file of a saved image is gone or has another
// size, and if so makes the image one that has to be fetched again, free of
// charge. An image without a link is lost.
func (l *Library) Missing(ctx context.Context, i Image) (bool, error) {
	if i.State != Saved {
		return false, nil
	}
	problem, err := l.checkFile(ctx, i, false)
	if err != nil || problem == nil || problem.Kind == Unreadable {
		return false, err
	}
	l.log.WarnContext(ctx, "fetching an image again: its file is not the one that was saved", "id", i.ID, "problem", string(problem.Kind))
	if problem.Kind == Damaged {
		if err := l.pictures.quarantine(i.Path); err != nil {
			return false, err
		}
	}
	return true, l.markForRefetch(ctx, *problem)
}

// SweepPreviews deletes the previews of images that are not in the library any
// more and returns how many there were.
func (l *Library) SweepPreviews(ctx context.Context) (deleted int, err error) {
	if _, err := os.Stat(l.previews.dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	found, err := l.previews.list()
	if err != nil {
		return 0, err
	}
	for name, id := range found.files {
		i, err := l.catalog.lookup(ctx, id)
		switch {
		case err == nil && i.State == Saved && previewName(i.Path) == name:
			continue
		case err == nil && i.State != Removed && l.now().Sub(i.updatedAt) < beingRemoved:
			continue // it is being saved
		case err != nil && !errors.Is(err, ErrNotFound):
			return deleted, err
		}
		if err := l.previews.remove(name); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

// repairFile looks again first: since the check the file may have been mended.
func (l *Library) repairFile(ctx context.Context, p Problem) (done string, err error) {
	i, err := l.catalog.getByID(ctx, p.ID)
	if err != nil {
		return "", err
	}
	now, err := l.checkFile(ctx, i, true)
	if err != nil || now == nil {
		return "sound again", err
	}
	switch now.Kind { //nolint:exhaustive // nothing else can be wrong with a file
	case Damaged:
		if err := l.pictures.quarantine(i.Path); err != nil {
			return "", err
		}
		done = "put aside in " + damagedDir + "; "
	case Missing:
	default:
		return "", nil
	}
	if err := l.markForRefetch(ctx, *now); err != nil {
		return "", err
	}
	if i.UpstreamURL == "" {
		return done + "lost, as its link is not known", nil
	}
	return done + "to be fetched again", nil
}

// reopen makes a saved image one that has to be fetched again. Without a
// link it is lost.
func (l *Library) markForRefetch(ctx context.Context, p Problem) error {
	write, err := l.catalog.writer(ctx)
	if err != nil {
		return err
	}
	failure := NewFailure(KindStorage, MessageFileChanged, "Call get_image with id "+p.ID+" to fetch it again free of charge, as long as Z.AI keeps it.")
	lost := *failure
	lost.Retryable, lost.Hint = false, "Tell the user; its link is not known, so the image has to be generated again."
	_, err = write.ExecContext(ctx, `UPDATE images SET state=CASE WHEN upstream_url='' THEN 'failed' ELSE 'answered' END,
		failure=CASE WHEN upstream_url='' THEN ? ELSE ? END, path='', updated_ms=?, lease_owner='', lease_until_ms=0
		WHERE id=? AND state='saved' AND path=?`, toJSON(lost, false), toJSON(failure, false), l.now().UnixMilli(), p.ID, p.Path)
	if err == nil {
		err = l.previews.remove(previewName(p.Path))
	}
	return l.catalog.failure("reopening "+p.ID, err)
}

// putAside moves a file out of the way.
func (s *store) quarantine(name string) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	err = root.MkdirAll(damagedDir, dirMode)
	if err == nil {
		err = root.Rename(name, path.Join(damagedDir, rand.Text()[:8]+"-"+path.Base(name)))
	}
	if err == nil {
		err = errors.Join(s.syncDir(root, damagedDir), s.syncDir(root, path.Dir(name)))
	}
	if err != nil {
		return folderError(s.path(damagedDir), fmt.Errorf("putting a file aside: %w", withoutPath(err)))
	}
	return nil
}
