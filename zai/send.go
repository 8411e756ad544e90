package zai

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// response is what came back, whatever it says.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (r *response) logID() string { return identifier(r.header.Get("X-Log-Id"), 100) }

// beginning is what is kept of an answer that was not understood. It is longer
// than what is kept in the end, so that the key is found where that is cut.
func (r *response) excerpt() string { return head(r.body, 2*maxExcerpt) }

func (r *response) ok() bool { return r.status >= 200 && r.status <= 299 }

// post sends a request that is billed if it is accepted, at most once.
func (c *Client) post(ctx context.Context, path string, content []byte) (*response, *Error) {
	var body io.Reader
	var sent func() bool
	if c.http1 {
		body = bytes.NewReader(content) // net/http sends headers and a body of this type in one piece
		ctx, sent = watchWriting(ctx)
	} else {
		sealed := &sealedBody{unread: bytes.NewReader(content)}
		body, sent = sealed, sealed.seal
	}
	request, err := c.newRequest(ctx, http.MethodPost, path, body)
	if err != nil {
		return nil, &Error{Kind: KindUpstream, Message: "the request cannot be built", NotAccepted: true, cause: err}
	}
	request.GetBody = nil // nothing below can send the body again
	request.ContentLength = int64(len(content))
	request.Header.Set("Content-Type", "application/json")
	from, err := c.billed.Do(request)
	if err != nil {
		return nil, c.transportError(ctx, err, sent() && (!c.http1 || !isWriteError(err)))
	}
	return c.readResponse(from)
}

// watchWriting tells whether net/http has written a whole request to its own
// buffer. Whether the system took it from there is another question.
func watchWriting(ctx context.Context) (watched context.Context, written func() bool) {
	var done atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			done.Store(true)
		}
	}}), done.Load
}

// get asks a question that is free and may be repeated.
func (c *Client) get(ctx context.Context, path string) (*response, *Error) {
	ctx, sent := watchWriting(ctx)
	request, err := c.newRequest(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, &Error{Kind: KindUpstream, Message: "the request cannot be built", NotAccepted: true, cause: err}
	}
	from, err := c.api.Do(request)
	if err != nil {
		return nil, c.transportError(ctx, err, sent())
	}
	return c.readResponse(from)
}

func (c *Client) newRequest(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.key.value)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Language", "en-US,en")
	request.Header.Set("User-Agent", c.userAgent)
	return request, nil
}

// maxResponse is the largest answer that is read. The largest image of any model
// has 2^22 pixels: without any compression 16 MiB, which are 22 as base64.
const maxResponse = 24 << 20

func (c *Client) readResponse(from *http.Response) (*response, *Error) {
	defer from.Body.Close()
	r := &response{status: from.StatusCode, header: from.Header}
	var err error
	r.body, err = io.ReadAll(io.LimitReader(from.Body, maxResponse+1))
	e := &Error{Kind: KindOutcomeUnknown, HTTPStatus: r.status, LogID: r.logID(), Answer: r.excerpt()}
	switch {
	case err != nil:
		e.Message, e.cause = "the answer broke off", c.sanitize(err)
	case len(r.body) > maxResponse:
		e.Message = fmt.Sprintf("the answer is larger than %d MiB", maxResponse>>20)
	default:
		return r, nil
	}
	return nil, c.complete(e, r.header)
}

// decode reads an answer. Of those that hold an image one is read at a time,
// for the memory they take.
func (c *Client) parse(r *response) (payload, error) {
	if len(r.body) > largeBody {
		c.decoding.Lock()
		defer c.decoding.Unlock()
	}
	return parsePayload(r.body)
}

// sanitizedError is an error whose text may repeat what the service sent.
type sanitizedError struct {
	error
	text string
}

func (e sanitizedError) Error() string { return e.text }
func (e sanitizedError) Unwrap() error { return e.error }

// told bounds the text of an error of net/http and takes the key out of it.
func (c *Client) sanitize(err error) error {
	err = withoutURL(err)
	return sanitizedError{err, clip(c.redact(clip(err.Error(), 4<<10)), 500)}
}

// transportError judges a call that got no answer. A request that was not sent
// in full cannot have been accepted.
func (c *Client) transportError(ctx context.Context, err error, sent bool) *Error {
	e := &Error{Kind: KindOutcomeUnknown, cause: c.sanitize(err)}
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
