package zai

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// The asynchronous endpoint takes a request at once and makes the image by
// itself (docs.z.ai/api-reference/image/generate-image-async). It exists for
// glm-image, which takes long: the time in which a broken connection leaves
// the outcome unknown shrinks to one short POST, and whoever has the task's id
// can ask for the image.

// Task is an image that the service makes by itself. It is billed like any
// other.
type Task struct {
	ID        string // for Await
	RequestID string
	LogID     string
	// Response is set when the answer held the image already, as that of a
	// gateway may that makes it while the caller waits. There is nothing to
	// wait for then, and no ID.
	Response *ImageResponse
}

// ErrNoAsync says that an image has to be asked for with GenerateImage.
// Nothing was accepted.
var ErrNoAsync = errors.New("zai: no asynchronous endpoint for this model")

const (
	taskTimeout = 15 * time.Minute // for an image; 71 s were seen
	pollTimeout = 30 * time.Second // for one question
	maxRefusals = 3
	resultPath  = "/async-result/"
	asyncPath   = "/async" + generationsPath
	maxTaskID   = 100
	processing  = "PROCESSING" // status of a task
)

// polling is how Await spaces its questions.
type polling struct{ first, longest time.Duration }

// Submit has an image made that Await waits for. The rules are those of
// GenerateImage. It fails with ErrNoAsync for models that the endpoint does
// not know, and for good once the service refused the endpoint itself.
func (c *Client) Submit(ctx context.Context, request ImageRequest) (*Task, error) {
	model, err := FindModel(c.region, request.Model)
	if err != nil {
		return nil, err
	}
	if !model.Async || c.asyncRefused.Load() {
		return nil, ErrNoAsync
	}
	task, err := postBilled(ctx, c, OperationSubmit, asyncPath, request, func(r *response) *Task { return c.readTask(r) })
	if failure, ok := errors.AsType[*Error](err); ok && failure.endpointRefused() {
		c.asyncRefused.Store(true)
		c.log.WarnContext(ctx, "the asynchronous endpoint is refused and not used any more", "error", failure.Error())
		return nil, ErrNoAsync
	}
	return task, err
}

// endpointRefused tells that not the request is wrong but where it went.
func (e *Error) endpointRefused() bool {
	return e.NotAccepted && (e.Kind == KindWrongRegion || e.HTTPStatus == http.StatusMethodNotAllowed ||
		slices.Contains([]string{"1212", "1220", "1221", "1222"}, e.Code))
}

// readTask is nil when the answer holds neither a task nor an image. The
// answer of a gateway that holds the image has an id, too.
func (c *Client) readTask(r *response) *Task {
	p, err := c.parse(r)
	id := p.text("id", "task_id")
	if !r.ok() || err != nil && !errors.Is(err, errNotObject) {
		return nil
	}
	if p.text("task_status") != processing || id == "" {
		if response := c.imageResponse(r, p); response != nil {
			return &Task{RequestID: response.RequestID, LogID: response.LogID, Response: response}
		}
	}
	if id == "" || len(id) > maxTaskID || p.reportsFailure() {
		return nil
	}
	return &Task{ID: id, RequestID: c.redact(identifier(p.text("request_id"), maxTaskID)), LogID: c.redact(r.logID())}
}

// Await asks for the image of a task until it is there, at most for a
// quarter of an hour. Asking is free, so that it may be called again after any
// failure, also by another process. A task that failed is an *Error of the
// kind the service says and is not billed; KindOutcomeUnknown means that no
// answer was to be had.
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
		var response *ImageResponse
		done := false
		if failure == nil {
			response, done, failure = c.readResult(r)
		}
		c.observe(Attempt{Operation: OperationPoll, Number: attempt, Status: failure.status(), Duration: c.now().Sub(start)})
		switch {
		case response != nil:
			c.log.InfoContext(ctx, "image made", "request_id", response.RequestID, "polls", attempt)
			return response, nil
		case done:
			return nil, failure
		case failure == nil:
			refusals, last = 0, nil
			continue
		}
		last = failure
		c.log.DebugContext(ctx, "no answer about an image", "attempt", attempt, "error", failure.Error())
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

// readResult is done when the task has ended.
func (c *Client) readResult(r *response) (response *ImageResponse, done bool, failure *Error) {
	p, err := c.parse(r)
	if !r.ok() || err != nil && !errors.Is(err, errNotObject) {
		return nil, false, c.complete(responseError(r), r.header)
	}
	status := p.text("task_status")
	switch status {
	case processing:
		return nil, false, nil
	case "FAIL":
		return nil, true, c.taskFailed(r, p)
	}
	if response := c.imageResponse(r, p); response != nil {
		return response, true, nil
	}
	if status == "SUCCESS" {
		return nil, true, c.complete(&Error{
			Kind: KindOutcomeUnknown, RequestID: p.requestID, LogID: r.logID(), Message: "the task ended without an image", Answer: r.excerpt(),
		}, r.header)
	}
	return nil, false, c.complete(responseError(r), r.header)
}

// taskFailed reads an answer of which the vendor documents nothing but that
// the task failed.
func (c *Client) taskFailed(r *response, p payload) *Error {
	code, message, _ := p.errorText()
	e := &Error{Kind: KindUpstream, Code: code, Message: message, RequestID: p.requestID, LogID: r.logID(), ContentFilter: p.filter}
	if kind, _ := kindOfCode(code); kind != "" {
		e.Kind = kind
	}
	if e.Message == "" {
		e.Message = "the task failed"
	}
	return c.complete(e, r.header)
}

// notFinished is all that is known of a task when asking for it is given up.
func taskTimedOut(last *Error, cause error) *Error {
	e := &Error{Kind: KindOutcomeUnknown, Message: "the image was not finished in the time allowed", cause: cause}
	if last != nil {
		e.HTTPStatus, e.Code, e.RequestID, e.LogID, e.cause = last.HTTPStatus, last.Code, last.RequestID, last.LogID, last
		e.Answer = last.Answer
		e.Message = "the service does not tell what became of the image"
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
