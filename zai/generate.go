package zai

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxAttempts = 4
	maxAnswer   = 48 << 20 // a picture of 32 MiB as base64 fits
)

// GenerateImage asks for one picture. It sends the request again only while it
// is sure that the service did not accept it; every other failure is an
// *Error of kind KindOutcomeUnknown and may have been billed. All errors are
// *Error.
//
// Cancelling ctx after the request was sent does not undo it.
func (c *Client) GenerateImage(ctx context.Context, request ImageRequest) (*ImageResponse, error) {
	request, err := request.prepared(c.region)
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
		response, failure := c.post(ctx, body)
		c.observe(Attempt{Operation: OperationGenerate, Number: attempt, Status: failure.status(), Duration: c.now().Sub(start)})
		if failure == nil {
			c.log.InfoContext(ctx, "picture made", "model", request.Model, "size", request.Size, "attempt", attempt,
				"request_id", response.RequestID, "log_id", response.LogID, "seconds", c.now().Sub(start).Seconds())
			return response, nil
		}
		c.log.WarnContext(ctx, "request for a picture failed", "model", request.Model, "attempt", attempt,
			"kind", string(failure.Kind), "error", failure.Error())
		if !failure.transient || !failure.NotAccepted || attempt == maxAttempts {
			return nil, failure
		}
		if wait := c.backoff(attempt, failure.RetryAfter); !sleep(ctx, wait) {
			return nil, failure
		}
	}
}

// post sends the request once.
func (c *Client) post(ctx context.Context, body []byte) (*ImageResponse, *Error) {
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			sent.Store(true)
		}
	}}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost,
		c.base.String()+generationsPath, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Kind: KindUpstream, Message: "the request cannot be built", NotAccepted: true, cause: err}
	}
	request.Header.Set("Authorization", "Bearer "+c.key.value)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Language", "en-US,en")
	request.Header.Set("User-Agent", c.userAgent)
	answer, err := c.api.Do(request)
	if err != nil {
		return nil, c.transportError(ctx, err, sent.Load() && !isWriteError(err))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil || len(text) > maxAnswer {
		return nil, &Error{Kind: KindOutcomeUnknown, HTTPStatus: answer.StatusCode,
			LogID: clip(answer.Header.Get("X-Log-Id"), 100), Message: "the answer broke off", cause: err}
	}
	if response := readResponse(answer, text); response != nil {
		response.RequestID, response.LogID = c.redact(response.RequestID), c.redact(response.LogID)
		return response, nil
	}
	return nil, c.complete(answerError(answer.StatusCode, answer.Header, text), answer.Header)
}

// readResponse is nil when the answer holds no picture.
func readResponse(answer *http.Response, text []byte) *ImageResponse {
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return nil
	}
	w, err := decodeAnswer(text)
	if err != nil || w.refused || len(w.data) == 0 || w.data[0].URL == "" && w.data[0].B64JSON == "" {
		return nil
	}
	return &ImageResponse{
		Created: w.created, Data: w.data, ContentFilter: w.filter, Model: w.model,
		RequestID: w.requestID, LogID: clip(answer.Header.Get("X-Log-Id"), 100),
	}
}

// isWriteError reports that the system did not take all bytes of the request.
// net/http calls a small request written when it is in its own buffer.
func isWriteError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "write"
}

// transportError judges a call that got no answer. Without a request fully
// written the service cannot have accepted it.
func (c *Client) transportError(ctx context.Context, err error, sent bool) *Error {
	e := &Error{Kind: KindOutcomeUnknown, cause: withoutURL(err)}
	switch {
	case sent && ctx.Err() != nil:
		e.Message = "no answer within the time allowed"
	case sent:
		e.Message = "the connection broke before the answer"
	case errors.Is(ctx.Err(), context.Canceled):
		e.Kind, e.NotAccepted = KindCancelled, true
	default:
		e.Kind, e.NotAccepted, e.transient = KindUpstream, true, ctx.Err() == nil
		e.Message = "no connection to " + c.base.Host
		e.Hint = "Check the network and the base URL, then call again; nothing was charged."
	}
	return e
}

// redact takes the key out of text that came from outside: a service that
// repeats it in an error would bring it into logs and conversations. A cut-off
// key is found by its beginning.
func (c *Client) redact(text string) string {
	key := c.key.value
	text = strings.NewReplacer(key, "***", url.QueryEscape(key), "***",
		base64.StdEncoding.EncodeToString([]byte(key)), "***").Replace(text)
	const telling = 8
	if len(key) >= 2*telling {
		text = strings.ReplaceAll(text, key[:telling], "***")
	}
	return text
}

// complete adds what only the client knows.
func (c *Client) complete(e *Error, header http.Header) *Error {
	e.Message, e.Code = c.redact(e.Message), c.redact(e.Code)
	e.RequestID, e.LogID = c.redact(e.RequestID), c.redact(e.LogID)
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

// sleep waits unless ctx ends first or would end within the wait.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
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
