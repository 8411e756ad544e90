package server

import (
	"io"
	"net/http"
	"time"
)

// eventStream is a sink that writes server-sent events. A client that does not
// read in time breaks it: net/http then ends the context of the request.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration // for one message, and more for a large one
}

// slowest is how slow a client may read a large answer, in bytes a second.
const slowest = 256 << 10

// patience is the time that a message gets for its size.
func patience(parts []string) time.Duration {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	return time.Duration(size) * time.Second / slowest
}

// startEvents answers a request with a stream.
func startEvents(w http.ResponseWriter, limit time.Duration) (*eventStream, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	w.WriteHeader(http.StatusOK)
	e := &eventStream{w: w, control: http.NewResponseController(w), limit: limit}
	return e, e.raw()
}

func (e *eventStream) raw(parts ...string) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(e.limit + patience(parts))); err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := io.WriteString(e.w, part); err != nil {
			return err
		}
	}
	return e.control.Flush()
}

// message implements sink. JSON has no line ends of its own.
func (e *eventStream) message(parts ...string) error {
	all := make([]string, 0, len(parts)+2)
	all = append(append(append(all, "event: message\ndata: "), parts...), "\n\n")
	return e.raw(all...)
}

// heartbeat keeps proxies from taking a silent stream for a dead one.
func (e *eventStream) heartbeat() error { return e.raw(": still here\n\n") }

// endpoint is the first event of HTTP+SSE: where messages go.
func (e *eventStream) endpoint(path string) error {
	return e.raw("event: endpoint\ndata: ", path, "\n\n")
}
