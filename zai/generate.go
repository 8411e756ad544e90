package zai

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxAttempts = 4

// GenerateImage asks for one image. It sends the request again only if the
// service surely did not accept it and enough time is left; a refusal because
// too many are in flight is returned at once. A failure of KindOutcomeUnknown
// may have been billed, all others are not. All errors are *Error.
//
// Cancelling ctx after the request was sent does not undo it.
func (c *Client) GenerateImage(ctx context.Context, request ImageRequest) (*ImageResponse, error) {
	response, err := postBilled(ctx, c, OperationGenerate, generationsPath, request, func(r *response) *ImageResponse { return c.readImage(r) })
	if err != nil {
		return nil, err
	}
	c.log.InfoContext(ctx, "image made", "model", request.Model, "size", request.Size, "request_id", response.RequestID, "log_id", response.LogID)
	return response, nil
}

// order posts a request that is billed when it is accepted. read is nil for
// an answer that is not what was asked for.
func postBilled[T any](ctx context.Context, c *Client, operation Operation, path string, request ImageRequest, read func(*response) *T) (*T, error) {
	request, model, err := request.prepared(c.region)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(request)
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

// readImage is nil when the answer holds no image.
func (c *Client) readImage(r *response) *ImageResponse {
	if !r.ok() {
		return nil
	}
	p, err := c.parse(r)
	if err != nil && !errors.Is(err, errNotObject) {
		return nil
	}
	return c.imageResponse(r, p)
}

func (c *Client) imageResponse(r *response, p payload) *ImageResponse {
	image, ok := p.image(c.fetchable)
	if !ok {
		return nil
	}
	return &ImageResponse{
		Created: p.created, Data: []ImageData{image}, ContentFilter: p.filter, Model: p.model,
		RequestID: c.redact(p.requestID), LogID: c.redact(r.logID()),
	}
}

// redact takes the key out of text that came from outside: a service that
// repeats it in an error would bring it into logs and conversations. A cut-off
// key is found by its beginning.
func (c *Client) redact(text string) string {
	key := c.key.value
	text = strings.NewReplacer(key, "***", url.QueryEscape(key), "***",
		base64.StdEncoding.EncodeToString([]byte(key)), "***").Replace(text)
	const keyPrefixLen = 8
	if len(key) >= 2*keyPrefixLen {
		text = strings.ReplaceAll(text, key[:keyPrefixLen], "***")
	}
	return text
}

// complete adds what only the client knows.
func (c *Client) complete(e *Error, header http.Header) *Error {
	e.Message, e.Code = c.redact(e.Message), c.redact(e.Code)
	e.RequestID, e.LogID = c.redact(e.RequestID), c.redact(e.LogID)
	e.Answer = strings.ToValidUTF8(head(c.redact(printable(e.Answer)), maxExcerpt), "")
	e.RetryAfter = retryAfter(header, c.now())
	switch e.Kind {
	case KindUnauthorized:
		e.Hint = fmt.Sprintf("Check ZAI_API_KEY: it was refused by region %s at %s, and a key works only on the platform that issued it; "+
			"if it comes from the other one, set --region %s (%s).", c.region, c.base, c.region.Other(), c.region.Other().BaseURL())
	case KindWrongRegion:
		e.Hint = fmt.Sprintf("Check ZAI_BASE_URL and --region: %s is used now; region %s is %s and region %s is %s.",
			c.base, Global, Global.BaseURL(), China, China.BaseURL())
	case KindNoBalance:
		e.Hint = fmt.Sprintf("Ask the user to recharge the account of region %s, or to check that key and base URL (%s) belong to a plan "+
			"with image models. This is not a rate limit: calling again does not help.", c.region, c.base)
	}
	return e
}

// timeLeft reports whether ctx lasts longer than d. An attempt that is cut
// short by its deadline turns a sure refusal into an unknown outcome.
func timeLeft(ctx context.Context, d time.Duration) bool {
	deadline, limited := ctx.Deadline()
	return !limited || time.Until(deadline) > d
}

// sleep waits unless ctx ends first or would end within the wait.
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
