package zai

import "context"

// noTask is the id of a task that there never was.
const noTask = "0"

// CheckKey asks whether the service takes the key, without having anything
// made: it asks for the result of a task that does not exist. The error is an
// *Error, of kind KindUnauthorized when the key is refused.
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

// keyAccepted tells an answer behind the look at the key: that there is no such
// task, no money or too much at once.
func (e *Error) keyAccepted() bool {
	return e == nil || e.Kind == KindInvalidArgument && e.Code != "" ||
		e.HTTPStatus >= 400 && e.HTTPStatus < 500 && e.Code != "" && e.Kind != KindUnauthorized && e.Kind != KindWrongRegion
}
