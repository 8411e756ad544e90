package server

import "context"

// LocalOwner owns all images where callers are not told apart.
const LocalOwner = "local"

// caller is who a request comes from.
type caller struct {
	owner   string // of the images that are made and seen
	client  string // one conversation: takes turns with the others
	request string // id of the HTTP request, for the log
	token   tokenDigest
	wishes  wishes
}

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf is the local owner unless a transport knows better.
func callerOf(ctx context.Context) caller {
	if c, ok := ctx.Value(callerKey{}).(caller); ok {
		return c
	}
	return caller{owner: LocalOwner}
}

func ownerOf(ctx context.Context) string  { return callerOf(ctx).owner }
func clientOf(ctx context.Context) string { return callerOf(ctx).client }
