package zai

import (
	"errors"
	"net/http"
	"time"
)

// Operation is the kind of a request to the service.
type Operation string

// The operations.
const (
	OperationGenerate Operation = "generate" // POST images/generations
	OperationSubmit   Operation = "submit"   // POST async/images/generations
	OperationPoll     Operation = "poll"     // GET async-result/{id}
	OperationDownload Operation = "download" // GET of an image
)

// Attempt describes one request to the service, for WithObserver.
type Attempt struct {
	Operation Operation
	Number    int           // 1 for the first; more are retries
	Status    int           // HTTP status; 0 without a response or, for downloads, without an image
	Duration  time.Duration // until the response was read or, for downloads, the header of the image
}

// status returns the HTTP status of an attempt that ended with e, 200 if e is
// nil.
func (e *Error) status() int {
	if e == nil {
		return http.StatusOK
	}
	return e.HTTPStatus
}

// downloadStatus returns the HTTP status of an attempt to download that ended
// with err.
func downloadStatus(err error) int {
	var status statusError
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &status):
		return int(status)
	default:
		return 0
	}
}
