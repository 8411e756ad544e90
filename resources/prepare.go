package resources

import (
	"context"
	"time"
)

// Prepare fails with ErrStorage if an image that is created at the time t could not
// be saved: the store must accept a new file, and the catalog must be writable. Call
// it before an image is paid for. Prepare also takes the lock of the lease's process.
func (l *Library) Prepare(ctx context.Context, lease Lease, t time.Time) error {
	if err := l.store.Prepare(ctx, fileName(t, "", "", "")); err != nil {
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

// Writable fails with ErrStorage if the store does not accept a new file.
func (l *Library) Writable(ctx context.Context) error { return l.store.Prepare(ctx, "") }
