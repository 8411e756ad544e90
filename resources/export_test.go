package resources

import "context"

// SharedCalls runs equal calls once.
type SharedCalls[T any] struct{ sharedCalls[T] }

// Do is sharedCalls.do.
func (c *SharedCalls[T]) Do(ctx context.Context, key string, f func(context.Context) (T, error)) (T, error) {
	return c.do(ctx, key, f)
}
