package resources

import "context"

// Shrink lets tests look at the scaling alone.
var Shrink = shrink

// ShrinkPNG lets tests compare the row by row way with the other.
var (
	ShrinkPNG   = shrinkPNG
	ErrNotPlain = errNotPlain
)

// MakePreview makes a preview without keeping it.
func (l *Library) MakePreview(ctx context.Context, i Image) ([]byte, error) {
	return l.makePreview(ctx, i)
}
