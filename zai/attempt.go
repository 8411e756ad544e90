package zai

import (
	"errors"
	"net/http"
	"time"
)

// Operation is what a request to the service is for.
type Operation string

// The operations.
const (
	OperationGenerate Operation = "generate" // POST images/generations
	OperationSubmit   Operation = "submit"   // POST async/images/generations
	OperationPoll     Operation = "poll"     // GET async-result/{id}
	OperationDownload Operation = "download" // GET of an image
)

// Attempt is one request to the service, as an observer sees it.
type Attempt struct {
	Operation Operation
	Number    int           // 1 for the first; more are retries
	Status    int           // HTTP status, 0 without an answer
	Duration  time.Duration // until the answer was read; of downloads, until the image begins
}

// status is what was answered to an attempt that failed so; nil did not fail.
func (e *Error) status() int {
	if e == nil {
		return http.StatusOK
	}
	return e.HTTPStatus
}

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
