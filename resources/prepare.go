package resources

import (
	"context"
	"crypto/rand"
	"path"
	"time"
)

// Prepare fails with ErrStorage if an image that is created at the time t could not
// be saved: the folder must accept a new file and have space for one image, and the
// catalog must be writable. Call it before an image is paid for. Prepare also takes
// the lock of the lease's process.
func (l *Library) Prepare(ctx context.Context, lease Lease, t time.Time) error {
	if err := l.store.prepare(path.Dir(fileName(t, "", "", ""))); err != nil {
		return err
	}
	if _, err := l.catalog.writer(ctx); err != nil {
		return err
	}
	if lease.Process != "" {
		l.holdLock(ctx, lease.Process)
	}
	return nil
}

// Writable fails with ErrStorage if the folder does not accept a new file or has no
// space for an image.
func (l *Library) Writable() error { return l.store.prepare(".") }

// minFree is the disk space that must be free before an image is paid for:
// enough for an image of the largest size, its preview, and the catalog's
// journal.
const minFree = 48 << 20

// prepare fails if no file can be saved in a folder of the store now. It
// creates the folder, writes a file there, deletes it, and checks the free
// space.
func (s *store) prepare(dir string) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	if err := s.makeDir(root, dir); err != nil {
		return folderError(s.path(dir), err)
	}
	probe := path.Join(dir, tempPrefix+"probe-"+rand.Text())
	if err = root.WriteFile(probe, []byte("probe"), fileMode); err == nil {
		err = root.Remove(probe)
	}
	if err != nil {
		return folderError(s.path(dir), withoutPath(err))
	}
	if free, err := s.free(s.path(dir)); err == nil && free < minFree { // if the free space cannot be determined, only a write can fail
		return folderError(s.path(dir), errNoSpace)
	}
	return nil
}
