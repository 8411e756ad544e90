package zai

import (
	"context"
	"encoding/json"
	"time"
)

const maxAttempts = 4

// GenerateImage requests one image and waits for it. It sends the request again
// only if the service certainly did not accept it and enough time is left. If
// the service refuses the request because too many are in flight, GenerateImage
// fails at once. All errors are *Error. A request that failed with
// KindOutcomeUnknown may have been billed; all other failures are free.
//
// Cancelling ctx does not withdraw a request that was sent.
func (c *Client) GenerateImage(ctx context.Context, request ImageRequest) (*ImageResponse, error) {
	image, err := postBilled(ctx, c, OperationGenerate, generationsPath, request, c.readImage)
	if err != nil {
		return nil, err
	}
	c.log.InfoContext(ctx, "received an image", "model", request.Model, "size", request.Size, "request_id", image.RequestID, "log_id", image.LogID)
	return image, nil
}

// postBilled sends a request that is billed once it is accepted, and retries as
// GenerateImage describes. read returns nil for a response without a result.
func postBilled[T any](ctx context.Context, c *Client, operation Operation, path string, request ImageRequest, read func(*response) *T) (*T, error) {
	request, model, err := request.prepared(c.region)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(c.body(request))
	if err != nil {
		return nil, &Error{Kind: KindInvalidArgument, Message: "the request cannot be encoded", NotAccepted: true, cause: err}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		start := c.now()
		var result *T
		r, failure := c.post(ctx, path, body)
		if failure == nil {
			if result = read(r); result == nil {
				failure = c.complete(responseError(r), r.header)
			}
		}
		c.observe(Attempt{Operation: operation, Number: attempt, Status: failure.status(), Duration: c.now().Sub(start)})
		if failure == nil {
			return result, nil
		}
		c.log.WarnContext(ctx, "failed to request an image", "model", request.Model, "attempt", attempt,
			"kind", string(failure.Kind), "error", failure.Error())
		if !failure.transient || !failure.NotAccepted || failure.TooManyInFlight() || attempt == maxAttempts {
			return nil, failure
		}
		wait := c.backoff(attempt, failure.RetryAfter)
		if !timeLeft(ctx, wait+2*model.TypicalDuration(request.Quality)) || !sleep(ctx, wait) {
			return nil, failure
		}
	}
}

// imageBody is the body of a request for an image. A nil WatermarkEnabled is not
// sent and stands for true.
type imageBody struct {
	ImageRequest
	WatermarkEnabled *bool `json:"watermark_enabled,omitempty"`
}

func (c *Client) body(request ImageRequest) imageBody {
	if c.watermark {
		return imageBody{ImageRequest: request}
	}
	return imageBody{request, new(bool)}
}

// timeLeft reports whether ctx lasts longer than d. An attempt that its
// deadline cuts short has an unknown outcome, which is worse than the last
// refusal.
func timeLeft(ctx context.Context, d time.Duration) bool {
	deadline, limited := ctx.Deadline()
	return !limited || time.Until(deadline) > d
}

// sleep waits for d and returns true. It returns false when ctx ends, and at
// once if the deadline of ctx is within d.
func sleep(ctx context.Context, d time.Duration) bool {
	if !timeLeft(ctx, d) {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
