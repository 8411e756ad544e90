package resources

import "context"

// Shrink lets tests look at the scaling alone.
var Shrink = shrink

// MakePreview makes a preview without keeping it.
func (l *Library) MakePreview(ctx context.Context, i Image) ([]byte, error) {
	return l.makePreview(ctx, i)
}
