package zai

import (
	"fmt"
	"io"
	"net/http"
)

// response is a response of the service, read in full.
type response struct {
	status   int
	header   http.Header
	body     []byte
	payload  payload // the decoded body
	parseErr error   // set if the body is not a JSON object
}

func newResponse(status int, header http.Header, body []byte) *response {
	r := &response{status: status, header: header, body: body}
	r.payload, r.parseErr = parsePayload(body)
	return r
}

func (r *response) logID() string { return logID(r.header) }

func logID(header http.Header) string { return identifier(header.Get("X-Log-Id"), 100) }

// excerpt returns the beginning of the body, for Error.Answer. It is twice as
// long as Answer, so that a key that spans the end of Answer is found and
// removed.
func (r *response) excerpt() string { return excerpt(r.body) }

func excerpt(body []byte) string { return head(body, 2*maxExcerpt) }

func (r *response) ok() bool { return r.status >= 200 && r.status <= 299 }

// maxResponse is the size of the largest body that is read, in bytes. The
// largest image of any model has 2^22 pixels, which are 16 MiB without
// compression, or 22 MiB as base64.
const maxResponse = 24 << 20

// readResponse reads and decodes a response. Responses larger than largeBody
// are decoded one at a time, to limit memory.
func (c *Client) readResponse(from *http.Response) (*response, *Error) {
	defer from.Body.Close()
	body, err := io.ReadAll(io.LimitReader(from.Body, maxResponse+1))
	e := &Error{Kind: KindOutcomeUnknown, HTTPStatus: from.StatusCode, LogID: logID(from.Header), Answer: excerpt(body)}
	switch {
	case err != nil:
		e.Message, e.cause = "the response was cut off", c.sanitize(err)
		return nil, c.complete(e, from.Header)
	case len(body) > maxResponse:
		e.Message = fmt.Sprintf("the response is larger than %d MiB", maxResponse>>20)
		return nil, c.complete(e, from.Header)
	case len(body) > largeBody:
		c.decoding.Lock()
		defer c.decoding.Unlock()
	}
	return newResponse(from.StatusCode, from.Header, body), nil
}

// readImage returns the image of a response. It returns nil if the response has
// no image or its status is not 2xx.
func (c *Client) readImage(r *response) *ImageResponse {
	if !r.ok() {
		return nil
	}
	image, ok := r.payload.image(c.fetchable)
	if !ok {
		return nil
	}
	return &ImageResponse{
		Created: r.payload.created, Data: []ImageData{image}, ContentFilter: r.payload.filter, Model: c.redact(r.payload.model),
		RequestID: c.redact(r.payload.requestID), LogID: c.redact(r.logID()),
	}
}
