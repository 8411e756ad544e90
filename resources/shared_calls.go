package resources

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// sharedCalls runs equal calls once for all their callers. The zero value is ready for use.
type sharedCalls[T any] struct {
	mu      sync.Mutex
	running map[string]*sharedCall[T]
}

// sharedCall is one run of a function. The fields value and err are set when done is closed.
type sharedCall[T any] struct {
	waiting int // callers
	cancel  context.CancelFunc
	done    chan struct{}
	value   T
	err     error
}

// do returns the result of f, or that of a call with the same key that is running. It
// returns at once when ctx ends. The context of f ends when those of all its callers have
// ended, so that it continues for the others if one gives up.
func (c *sharedCalls[T]) do(ctx context.Context, key string, f func(context.Context) (T, error)) (T, error) {
	running := c.join(ctx, key, f)
	defer c.leave(key, running)
	select {
	case <-running.done:
		return running.value, running.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// join returns the call with a key, which it starts if none is running.
func (c *sharedCalls[T]) join(ctx context.Context, key string, f func(context.Context) (T, error)) *sharedCall[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	running, ok := c.running[key]
	if !ok {
		shared, cancel := context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // leave calls cancel
		running = &sharedCall[T]{cancel: cancel, done: make(chan struct{})}
		if c.running == nil {
			c.running = map[string]*sharedCall[T]{}
		}
		c.running[key] = running
		go c.run(shared, key, running, f)
	}
	running.waiting++
	return running
}

// run calls f. A panic of f becomes its error: it would end the process here, where no
// caller can recover it.
func (c *sharedCalls[T]) run(ctx context.Context, key string, running *sharedCall[T], f func(context.Context) (T, error)) {
	defer close(running.done)
	defer c.remove(key, running)
	defer func() {
		if value := recover(); value != nil {
			running.err = fmt.Errorf("%w: %v\n%s", errPanic, value, debug.Stack())
		}
	}()
	running.value, running.err = f(ctx)
}

var errPanic = errors.New("panic")

// leave ends the wait of a caller. It cancels a call for which nobody waits any more, and
// later callers start a new one.
func (c *sharedCalls[T]) leave(key string, left *sharedCall[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if left.waiting--; left.waiting > 0 {
		return
	}
	left.cancel()
	if c.running[key] == left {
		delete(c.running, key)
	}
}

func (c *sharedCalls[T]) remove(key string, ended *sharedCall[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[key] == ended {
		delete(c.running, key)
	}
}
