package transport

import (
	"net/http"
	"time"

	"zai-image-mcp/internal/limit"
)

// eventStream is a sink that writes server-sent events. It fails for a client
// that does not read in time: net/http then ends the context of the request.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration // for one message, plus its size at limit.MinBytesPerSecond
}

// sizeTimeout returns the time that a message gets for its size.
func sizeTimeout(size int) time.Duration {
	return time.Duration(size) * time.Second / limit.MinBytesPerSecond
}

// startEvents begins a stream as the answer to an HTTP request.
func startEvents(w http.ResponseWriter, timeout time.Duration) (*eventStream, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer events
	w.WriteHeader(http.StatusOK)
	e := &eventStream{w: w, control: http.NewResponseController(w), timeout: timeout}
	return e, e.raw()
}

func (e *eventStream) raw(parts ...part) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(e.timeout + sizeTimeout(sizeOf(parts)))); err != nil {
		return err
	}
	if err := writeParts(e.w, parts...); err != nil {
		return err
	}
	return e.control.Flush()
}

// message implements sink. Encoded JSON contains no line ends.
func (e *eventStream) message(parts ...part) error {
	all := append([]part{text("event: message\ndata: ")}, parts...)
	return e.raw(append(all, text("\n\n"))...)
}

// heartbeat writes a comment, so that proxies do not close a silent stream.
func (e *eventStream) heartbeat() error { return e.raw(text(": still here\n\n")) }

// endpoint writes the first event of HTTP+SSE, which names the path for messages.
func (e *eventStream) endpoint(path string) error {
	return e.raw(text("event: endpoint\ndata: " + path + "\n\n"))
}
