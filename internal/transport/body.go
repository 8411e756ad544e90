package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/limit"
)

var errLargeBody = errors.New("the message is larger than 1 MiB")

// readMessage reads the message of a POST. It answers the request and reports
// ok false if the message cannot be read. A large body holds one of
// limit.LargeBodies places until done is called, which bounds how many are read
// and parsed at once.
func (h *HTTP) readMessage(w http.ResponseWriter, r *http.Request) (line []byte, done func(), ok bool) {
	body, done, err := h.readBody(w, r)
	if err != nil {
		w.Header().Set("Connection", "close")
		status, text := bodyError(err)
		writeError(w, status, &ProtocolError{Code: mcp.INVALID_REQUEST, Text: text})
		return nil, nil, false
	}
	return bytes.TrimSpace(body), done, true
}

// readBody reads a request's body. The connection's read deadline bounds it;
// net/http clears that at the end of the body.
func (h *HTTP) readBody(w http.ResponseWriter, r *http.Request) (text []byte, done func(), err error) {
	if r.ContentLength > limit.MaxBody {
		return nil, nil, errLargeBody
	}
	body := http.MaxBytesReader(w, r.Body, limit.MaxBody)
	first, err := io.ReadAll(io.LimitReader(body, limit.SmallBody))
	if err != nil {
		return nil, nil, err
	}
	if len(first) < limit.SmallBody {
		return first, func() {}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.limits.BodyTime)
	defer cancel()
	if h.large.Acquire(ctx, 1) != nil {
		return nil, nil, os.ErrDeadlineExceeded
	}
	done = sync.OnceFunc(func() { h.large.Release(1) })
	var all bytes.Buffer
	all.Grow(int(max(r.ContentLength, limit.SmallBody)) + bytes.MinRead) // the length is -1 if it is not known
	all.Write(first)
	if _, err := all.ReadFrom(body); err != nil {
		done()
		return nil, nil, err
	}
	return all.Bytes(), done, nil
}

// bodyError describes why a body could not be read.
func bodyError(err error) (status int, text string) {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge, errors.Is(err, errLargeBody):
		return http.StatusRequestEntityTooLarge, "The message is larger than 1 MiB."
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, "The message came too slowly."
	default:
		return http.StatusBadRequest, "The message broke off."
	}
}
