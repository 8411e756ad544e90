package resources

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
)

// damagedDir is where repair puts files that are not what was saved.
const damagedDir = ".damaged"

// Repair mends what can be mended in the folder and tells what it did; "" when
// there was nothing it could do. A picture whose file is missing or damaged
// becomes one that is paid for and waits to be fetched again. Files that may
// hold a picture are put aside, not deleted.
func (l *Library) Repair(ctx context.Context, p Problem) (done string, err error) {
	switch p.Kind {
	case Leftover:
		if p.ID != "" { // it may be a copy that the user wants
			return "put aside in " + damagedDir, l.pictures.putAside(p.Path)
		}
		return "deleted", l.pictures.remove(p.Path)
	case Damaged, Missing:
		return l.repairFile(ctx, p)
	case Moved:
		return l.adopt(ctx, "", p.ID, p.Path)
	case Orphan, Unsaved, LeftBehind, Unreadable, BadCatalog:
	}
	return "", nil
}

// repairFile looks again first: since the check the file may have been mended.
func (l *Library) repairFile(ctx context.Context, p Problem) (done string, err error) {
	i, err := l.catalog.find(ctx, p.ID)
	if err != nil {
		return "", err
	}
	now, err := l.checkFile(ctx, i, true)
	if err != nil || now == nil {
		return "sound again", err
	}
	switch now.Kind { //nolint:exhaustive // nothing else can be wrong with a file
	case Damaged:
		if err := l.pictures.putAside(i.Path); err != nil {
			return "", err
		}
		done = "put aside in " + damagedDir + "; "
	case Missing:
	default:
		return "", nil
	}
	if err := l.reopen(ctx, *now); err != nil {
		return "", err
	}
	if i.UpstreamURL == "" {
		return done + "lost, as its link is not known", nil
	}
	return done + "to be fetched again", nil
}

// reopen makes a saved picture one that has to be fetched again. Without a
// link it is lost.
func (l *Library) reopen(ctx context.Context, p Problem) error {
	write, _, err := l.catalog.open(ctx)
	if err != nil {
		return err
	}
	failure := &Failure{
		Kind: "storage", Retryable: true,
		Message: "The picture's file was changed, damaged or removed after it was saved.",
		Hint:    "Call get_image with id " + p.ID + " to fetch it again free of charge, while its link lives.",
	}
	lost := *failure
	lost.Retryable, lost.Hint = false, "Tell the user; the picture has to be made again."
	_, err = write.ExecContext(ctx, `UPDATE images SET state=CASE WHEN upstream_url='' THEN 'failed' ELSE 'answered' END,
		failure=CASE WHEN upstream_url='' THEN ? ELSE ? END, path='', updated_ms=?, lease_owner='', lease_until_ms=0
		WHERE id=? AND state='saved' AND path=?`, toJSON(lost, false), toJSON(failure, false), l.now().UnixMilli(), p.ID, p.Path)
	if err == nil {
		err = l.previews.remove(previewName(p.Path))
	}
	return storageError("reopening "+p.ID, err)
}

// putAside moves a file out of the way.
func (s *store) putAside(name string) error {
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
		return fmt.Errorf("%w: putting %s aside: %w", ErrStorage, name, err)
	}
	return nil
}
