package zai

import "context"

// noTask is the id of a task that never existed.
const noTask = "0"

// CheckKey reports whether the service accepts the key, free of charge: it asks
// for the result of a task that does not exist. The error is an *Error, of kind
// KindUnauthorized if the key is refused.
func (c *Client) CheckKey(ctx context.Context) error {
	r, failure := c.poll(ctx, noTask)
	if failure == nil {
		_, _, failure = c.readResult(r)
	}
	if failure.keyAccepted() {
		return nil
	}
	return failure
}

// keyAccepted reports whether the response shows that authentication passed:
// unknown task, no balance, or too many requests.
func (e *Error) keyAccepted() bool {
	return e == nil || e.Kind == KindInvalidArgument && e.Code != "" ||
		e.HTTPStatus >= 400 && e.HTTPStatus < 500 && e.Code != "" && e.Kind != KindUnauthorized && e.Kind != KindWrongRegion
}
