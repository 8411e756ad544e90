package resources

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"time"
)

// NetworkFileSystem reports whether a folder, or the nearest one above it that
// exists, is on a file system that does not lock a catalog reliably, and which
// one it is.
func NetworkFileSystem(folder string) (kind string, network bool) {
	for {
		if _, err := os.Stat(folder); err == nil || folder == filepath.Dir(folder) {
			return networkFileSystem(folder)
		}
		folder = filepath.Dir(folder)
	}
}

// Folder returns the folder of the images.
func (l *Library) Folder() string { return l.store.dir }

// Prepare fails with ErrStorage if an image could not be saved at the time t:
// its folder must be the one that was opened and take a new file, there must
// be space for one image, and the catalog must be writable. Call it before an
// image is paid for.
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

// Writable fails with ErrStorage if no file can be written to the folder.
func (l *Library) Writable() error { return l.store.prepare(".") }
