package zai

import "context"

// noTask is the id of a task that there never was.
const noTask = "0"

// CheckKey asks whether the service takes the key, without having anything
// made: it asks for the result of a task that does not exist. The error is an
// *Error, of kind KindUnauthorized when the key is refused.
func (c *Client) CheckKey(ctx context.Context) error {
	a, failure := c.ask(ctx, noTask)
	if failure == nil {
		_, _, failure = c.readResult(a)
	}
	switch {
	case failure == nil || failure.Kind == KindInvalidArgument:
		return nil // it knows the key, and not the task
	case failure.HTTPStatus >= 400 && failure.HTTPStatus < 500 && failure.Code != "" && failure.Kind != KindUnauthorized && failure.Kind != KindWrongRegion:
		return nil // no money, too busy: the key was looked at before
	}
	return failure
}
