package zai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// post sends, at most once, a request that is billed if it is accepted.
func (c *Client) post(ctx context.Context, path string, content []byte) (*response, *Error) {
	var body io.Reader
	var sent func() bool
	if c.http1 {
		body = bytes.NewReader(content) // net/http writes headers and a body of this type together
		ctx, sent = watchWriting(ctx)
	} else {
		sealed := &sealedBody{unread: bytes.NewReader(content)}
		body, sent = sealed, sealed.seal
	}
	request, err := c.newRequest(ctx, http.MethodPost, path, body)
	if err != nil {
		return nil, &Error{Kind: KindUpstream, Message: "the request cannot be built", NotAccepted: true, cause: err}
	}
	request.GetBody = nil // so that net/http cannot send the body again
	request.ContentLength = int64(len(content))
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.billed.Do(request)
	if err != nil {
		return nil, c.transportError(ctx, err, sent() && (!c.http1 || !isWriteError(err)))
	}
	return c.readResponse(answer)
}

// watchWriting returns a context for a request, and a function that reports
// whether net/http has written the whole request to its own buffer. It does not
// report whether the system accepted those bytes. Over HTTP/1.1 net/http
// returns an error only after it has stopped writing, so the report is final by
// then.
func watchWriting(ctx context.Context) (watched context.Context, written func() bool) {
	var done atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			done.Store(true)
		}
	}}), done.Load
}

// get sends a request that is free and may be repeated.
func (c *Client) get(ctx context.Context, path string) (*response, *Error) {
	ctx, sent := watchWriting(ctx)
	request, err := c.newRequest(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, &Error{Kind: KindUpstream, Message: "the request cannot be built", NotAccepted: true, cause: err}
	}
	answer, err := c.api.Do(request)
	if err != nil {
		return nil, c.transportError(ctx, err, sent())
	}
	return c.readResponse(answer)
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

// transportError returns the error for a request without a response. A request
// that was not sent in full cannot have been accepted.
func (c *Client) transportError(ctx context.Context, err error, sent bool) *Error {
	e := &Error{Kind: KindOutcomeUnknown, cause: c.sanitize(err)}
	switch {
	case sent && ctx.Err() != nil:
		e.Message = "no response within the time allowed"
	case sent:
		e.Message = "the connection failed before the response"
	case errors.Is(ctx.Err(), context.Canceled):
		e.Kind, e.NotAccepted = KindCancelled, true
	default:
		e.Kind, e.NotAccepted, e.transient = KindUpstream, true, ctx.Err() == nil
		e.Message = "no connection to " + c.base.Host
		e.Hint = "Check the network and the base URL, then call again; nothing was charged."
	}
	return e
}
