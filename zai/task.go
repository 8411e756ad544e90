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
// exists for glm-image, which is slow: only one short POST remains during which
// a broken connection leaves the outcome unknown, and any process that has the
// task's id can poll for the image.

// Task is an image that the service makes in the background. It is billed like
// any other.
type Task struct {
	ID        string // for Await
	RequestID string
	LogID     string
	// Response is set, and ID empty, if the response already contains the
	// image. Gateways that make images while the caller waits respond in this
	// way.
	Response *ImageResponse
}

// ErrNoAsync means that the image must be requested with GenerateImage. No
// request was accepted.
var ErrNoAsync = errors.New("zai: no asynchronous endpoint for this model")

const (
	taskTimeout = 15 * time.Minute // for an image; 71 s were seen
	pollTimeout = 30 * time.Second // for one poll
	maxRefusals = 3                // in a row
	resultPath  = "/async-result/"
	asyncPath   = "/async" + generationsPath
	maxTaskID   = 100          // bytes
	processing  = "PROCESSING" // status of a task
)

// polling is the pauses between the polls of Await.
type polling struct{ first, longest time.Duration }

// Submit requests an image for Await to wait for. The rules are those of
// GenerateImage. It fails with ErrNoAsync for models that the endpoint does not
// support, and for all models once the service has refused the endpoint itself.
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

// endpointRefused reports whether the endpoint was refused, and not the request.
func (e *Error) endpointRefused() bool {
	return e.NotAccepted && (e.Kind == KindWrongRegion || e.HTTPStatus == http.StatusMethodNotAllowed ||
		slices.Contains([]string{"1212", "1220", "1221", "1222"}, e.Code))
}

// readTask returns nil if the response contains neither a task nor an image. A
// gateway's response that contains the image has an id, too.
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

// Await polls for the image of a task until it is made, for at most a quarter
// of an hour. Polls are free, so Await may be called again after any failure,
// also by another process. A task that failed is not billed; it returns an
// *Error of the kind that the service reports. KindOutcomeUnknown means that
// the service gave no result.
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
// ended.
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

// taskFailed returns the error for a task with status FAIL. The vendor
// documents no other field of that response.
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
// the last failure, nil if the last poll succeeded.
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

func (e *Error) retryAfter() time.Duration {
	if e == nil {
		return 0
	}
	return min(e.RetryAfter, retryAfterMax)
}
