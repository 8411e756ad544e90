package zai

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// The asynchronous endpoint accepts a request at once and makes the image in
// the background (docs.z.ai/api-reference/image/generate-image-async). It
// exists for glm-image, which is slow. A broken connection leaves the outcome
// unknown only during one short POST. Afterwards any process that has the id of
// the task can poll for the image.

// Task is an image that the service makes in the background. It is billed like
// any other image.
type Task struct {
	ID        string // for Await
	RequestID string
	LogID     string
	// Response is set, and ID is empty, if the response already contains the
	// image. Gateways without tasks respond in this way.
	Response *ImageResponse
}

// ErrNoAsync means that the image must be requested with GenerateImage. The
// service accepted no request.
var ErrNoAsync = errors.New("zai: no asynchronous endpoint for this model")

const (
	taskTimeout = 15 * time.Minute // for an image; the longest one recorded took 71 s
	pollTimeout = 30 * time.Second // for one poll
	maxRefusals = 3                // polls with a 3xx or 4xx status, without a successful one in between
	resultPath  = "/async-result/"
	asyncPath   = "/async" + generationsPath
	maxTaskID   = 100          // bytes
	processing  = "PROCESSING" // status of a task
)

// polling holds the first and the longest wait of Await before a poll.
type polling struct{ first, longest time.Duration }

// Submit requests an image that Await waits for. It retries under the
// conditions of GenerateImage. It fails with ErrNoAsync for models that the
// asynchronous endpoint does not support, and for all models once the service
// has refused the endpoint. All other errors are *Error.
func (c *Client) Submit(ctx context.Context, request ImageRequest) (*Task, error) {
	model, err := FindModel(c.region, request.Model)
	if err != nil {
		return nil, err
	}
	if !model.Async || c.asyncRefused.Load() {
		return nil, ErrNoAsync
	}
	task, err := postBilled(ctx, c, OperationSubmit, asyncPath, request, c.readTask)
	if failure, ok := errors.AsType[*Error](err); ok && failure.endpointRefused() {
		c.asyncRefused.Store(true)
		c.log.WarnContext(ctx, "stopped using the asynchronous endpoint, which the service refused", "error", failure.Error())
		return nil, ErrNoAsync
	}
	return task, err
}

// endpointRefused reports whether the service refused the endpoint rather than
// the request.
func (e *Error) endpointRefused() bool {
	return e.NotAccepted && (e.Kind == KindWrongRegion || e.HTTPStatus == http.StatusMethodNotAllowed ||
		slices.Contains([]string{"1212", "1220", "1221", "1222"}, e.Code))
}

// readTask returns nil if the response contains neither a task nor an image. A
// response of a gateway that contains the image may have an id as well.
func (c *Client) readTask(r *response) *Task {
	if !r.ok() {
		return nil
	}
	p := r.payload
	id := p.text("id", "task_id")
	if p.text("task_status") != processing || id == "" {
		if image := c.readImage(r); image != nil {
			return &Task{RequestID: image.RequestID, LogID: image.LogID, Response: image}
		}
	}
	if id == "" || len(id) > maxTaskID || p.reportsFailure() {
		return nil
	}
	return &Task{ID: id, RequestID: c.redact(identifier(p.text("request_id"), 100)), LogID: c.redact(r.logID())}
}

// Await polls until the image of a task is made, for at most 15 minutes. Polls
// are free, so Await may be called again after any failure, even by another
// process. The error is an *Error. If the task failed, which is not billed, its
// kind is the one that the service reports. KindOutcomeUnknown means that the
// result is not known.
func (c *Client) Await(ctx context.Context, task string) (*ImageResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, taskTimeout)
	defer cancel()
	wait, refusals := c.polling.first, 0
	var last *Error
	for attempt := 1; ; attempt++ {
		if !sleep(ctx, max(wait, last.retryAfter())) {
			return nil, taskTimedOut(last, ctx.Err())
		}
		wait = min(wait*3/2, c.polling.longest)
		start := c.now()
		r, failure := c.poll(ctx, task)
		var image *ImageResponse
		done := false
		if failure == nil {
			image, done, failure = c.readResult(r)
		}
		c.observe(Attempt{Operation: OperationPoll, Number: attempt, Status: failure.status(), Duration: c.now().Sub(start)})
		switch {
		case image != nil:
			c.log.InfoContext(ctx, "received an image", "request_id", image.RequestID, "polls", attempt)
			return image, nil
		case done:
			return nil, failure
		case failure == nil:
			refusals, last = 0, nil
			continue
		}
		last = failure
		c.log.DebugContext(ctx, "failed to poll a task", "attempt", attempt, "error", failure.Error())
		if failure.HTTPStatus >= 300 && failure.HTTPStatus < 500 && failure.Kind != KindRateLimited {
			refusals++
		}
		if refusals == maxRefusals {
			return nil, taskTimedOut(last, nil)
		}
	}
}

func (c *Client) poll(ctx context.Context, task string) (*response, *Error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	return c.get(ctx, resultPath+url.PathEscape(task))
}

// readResult reads the response to a poll. done reports whether the task has
// ended. All results are zero while it is processed.
func (c *Client) readResult(r *response) (image *ImageResponse, done bool, failure *Error) {
	status := r.payload.text("task_status")
	switch {
	case !r.ok():
		return nil, false, c.complete(responseError(r), r.header)
	case status == processing:
		return nil, false, nil
	case status == "FAIL":
		return nil, true, c.taskFailed(r)
	}
	if image := c.readImage(r); image != nil {
		return image, true, nil
	}
	if status == "SUCCESS" {
		return nil, true, c.complete(&Error{
			Kind: KindOutcomeUnknown, RequestID: r.payload.requestID, LogID: r.logID(), Message: "the task ended without an image", Answer: r.excerpt(),
		}, r.header)
	}
	return nil, false, c.complete(responseError(r), r.header)
}

// taskFailed returns the error for a task with status FAIL. The vendor does not
// document where such a response states the reason.
func (c *Client) taskFailed(r *response) *Error {
	code, message, _ := r.payload.errorText()
	e := &Error{Kind: KindUpstream, Code: code, Message: message, RequestID: r.payload.requestID, LogID: r.logID(), ContentFilter: r.payload.filter}
	if kind, _ := kindOfCode(code); kind != "" {
		e.Kind = kind
	}
	if e.Message == "" {
		e.Message = "the task failed"
	}
	return c.complete(e, r.header)
}

// taskTimedOut returns the error for a task that is no longer polled. last is
// the failure of the last poll, nil if it succeeded.
func taskTimedOut(last *Error, cause error) *Error {
	e := &Error{Kind: KindOutcomeUnknown, Message: "the image was not finished in the time allowed", cause: cause}
	if last != nil {
		e.HTTPStatus, e.Code, e.RequestID, e.LogID, e.cause = last.HTTPStatus, last.Code, last.RequestID, last.LogID, last
		e.Answer = last.Answer
		e.Message = "the service does not report the state of the image"
	}
	e.Hint = "Call get_image with its id later to ask again free of charge; a new call would cost a second time."
	return e
}

// retryAfter returns RetryAfter, at most retryAfterMax. It returns 0 if e is
// nil.
func (e *Error) retryAfter() time.Duration {
	if e == nil {
		return 0
	}
	return min(e.RetryAfter, retryAfterMax)
}
