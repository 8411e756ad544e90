package tools

import (
	"context"
	"errors"

	"zai-image-mcp/internal/jobs"
)

// Caller identifies the caller of a tool. Transports put it into the context of
// each call with WithCaller. A call without one fails.
type Caller struct {
	Owner    string         // owns the images that the call generates or reads
	Client   string         // for the queue, in which clients take turns
	ReadOnly bool           // may not generate images
	Inline   Inline         // "" for Config.Inline
	Delivery *jobs.Delivery // receives the images of the result; may be nil
}

type callerKey struct{}

// WithCaller returns a context that carries the caller.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

var errNoCaller = errors.New("the context of the call has no caller")

func callerFrom(ctx context.Context) (Caller, error) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	if !ok {
		return Caller{}, errNoCaller
	}
	return c, nil
}
