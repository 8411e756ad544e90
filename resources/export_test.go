package resources

import "context"

// The steps of making a preview.
var (
	Shrink            = shrink
	ShrinkPNG         = shrinkPNG
	ErrUnsupportedPNG = errUnsupportedPNG
)

// Calls runs equal calls once.
type Calls[T any] struct{ calls[T] }

// Do is calls.do.
func (c *Calls[T]) Do(ctx context.Context, key string, f func(context.Context) (T, error)) (T, error) {
	return c.do(ctx, key, f)
}
