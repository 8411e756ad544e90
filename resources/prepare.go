package resources

import (
	"context"
	"time"
)

// Prepare fails with ErrStorage if an image that is created at the time t could not
// be saved: the store must accept a new file, and the catalog must be writable. Call
// it before an image is paid for.
func (l *Library) Prepare(ctx context.Context, t time.Time) error {
	if err := l.store.Prepare(ctx, fileName(t, "", "", "")); err != nil {
		return err
	}
	return l.catalog.Writable(ctx)
}

// Writable fails with ErrStorage if the store does not accept a new file.
func (l *Library) Writable(ctx context.Context) error { return l.store.Prepare(ctx, "") }
