package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
)

const (
	// maxBody is the largest message over HTTP. No call to this server needs
	// more than a tenth of it.
	maxBody = 1 << 20
	// smallBody is read at once; larger ones take turns, so that clients
	// which send slowly can neither fill the memory nor hold up others.
	smallBody   = 16 << 10
	largeBodies = 16
)

var errLargeBody = errors.New("the message is larger than 1 MiB")

// readBody reads a request's body within the time that the connection's read
// deadline leaves; net/http lifts that when it comes to the end of the body. A
// large body keeps its place until done is called, so that no more of them are
// read and parsed at once.
func (h *web) readBody(w http.ResponseWriter, r *http.Request) (text []byte, done func(), err error) {
	if r.ContentLength > maxBody {
		return nil, nil, errLargeBody
	}
	body := http.MaxBytesReader(w, r.Body, maxBody)
	first, err := io.ReadAll(io.LimitReader(body, smallBody))
	if err != nil {
		return nil, nil, err
	}
	if len(first) < smallBody {
		return first, func() {}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.BodyTime)
	defer cancel()
	select {
	case h.large <- struct{}{}:
		done = sync.OnceFunc(func() { <-h.large })
	case <-ctx.Done():
		return nil, nil, os.ErrDeadlineExceeded
	}
	var all bytes.Buffer
	all.Grow(int(max(r.ContentLength, smallBody)) + bytes.MinRead) // -1 when it is not known
	all.Write(first)
	if _, err := all.ReadFrom(body); err != nil {
		done()
		return nil, nil, err
	}
	return all.Bytes(), done, nil
}

// bodyFailure says why a body could not be read.
func bodyFailure(err error) (status int, text string) {
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
