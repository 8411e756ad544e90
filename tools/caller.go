package tools

import (
	"context"
	"errors"

	"zai-image-mcp/internal/jobs"
)

// Caller identifies who calls a tool. Transports put it into the context of
// each call with WithCaller; a call without one fails.
type Caller struct {
	Owner    string         // whose images the call makes and sees
	Client   string         // takes turns with other clients when requests have to wait
	Inline   Inline         // "" for the server's default
	Delivery *jobs.Delivery // records which images the result holds; nil for none
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
