package zai

import "context"

// noTask is an id that no task has.
const noTask = "0"

// CheckKey fails if the service does not accept the key. It is free: it
// requests the result of a task that does not exist. The error is an *Error, of
// kind KindUnauthorized if the key is refused.
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

// keyAccepted reports whether e shows that authentication succeeded: it is nil,
// or the service refused the request for another reason, such as an unknown
// task, no balance or too many requests.
func (e *Error) keyAccepted() bool {
	return e == nil || e.Kind == KindInvalidArgument && e.Code != "" ||
		e.HTTPStatus >= 400 && e.HTTPStatus < 500 && e.Code != "" && e.Kind != KindUnauthorized && e.Kind != KindWrongRegion
}
