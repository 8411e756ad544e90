package resources

import "context"

// Shrink lets tests look at the scaling alone.
var Shrink = shrink

// ShrinkPNG lets tests compare the row by row way with the other.
var (
	ShrinkPNG   = shrinkPNG
	ErrNotPlain = errNotPlain
)

// Pragma reads a setting of the connection that writes.
func (l *Library) Pragma(ctx context.Context, name string) (value string, err error) {
	write, _, err := l.catalog.open(ctx)
	if err == nil {
		err = write.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	}
	return value, err
}

// MakePreview makes a preview without keeping it.
func (l *Library) MakePreview(ctx context.Context, i Image) ([]byte, error) {
	return l.makePreview(ctx, i)
}
