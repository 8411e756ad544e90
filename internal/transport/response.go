package transport

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// httpResponder answers one request over Streamable HTTP: with plain JSON, or
// with a stream as soon as something precedes the result.
type httpResponder struct {
	w         http.ResponseWriter
	timeout   time.Duration // of one write
	streams   bool          // the client accepts a stream
	plain     bool          // the client accepts JSON alone
	stateless bool          // errors have their own HTTP status
	sessionID string        // of a new session
	writer    messageWriter
	events    *eventStream // nil until the answer is a stream
}

// newResponder reads from the request what the client accepts. A client without
// Accept accepts both, as the protocol requires.
func newResponder(w http.ResponseWriter, r *http.Request, timeout time.Duration) *httpResponder {
	a := &httpResponder{w: w, timeout: timeout}
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	all := accept == "" || strings.Contains(accept, "*/*")
	a.streams = all || strings.Contains(accept, "text/event-stream")
	a.plain = all || strings.Contains(accept, "application/json") || strings.Contains(accept, "application/*")
	return a
}

// stream turns the answer into a stream. It reports false if the client does
// not accept one or is gone.
func (a *httpResponder) stream() bool {
	if a.events != nil {
		return true
	}
	if !a.streams {
		return false
	}
	if a.sessionID != "" {
		a.w.Header().Set(mcp.HeaderSessionID, a.sessionID)
	}
	events, err := startEvents(a.w, a.timeout)
	if err != nil {
		return false
	}
	a.events, a.writer.out = events, events
	return true
}

// notify implements responder.
func (a *httpResponder) notify(n mcp.JSONRPCNotification) {
	if a.stream() {
		_ = a.writer.notify(n) // a client that is gone shows at the next write
	}
}

// heartbeat implements responder.
func (a *httpResponder) heartbeat() {
	if a.stream() {
		_ = a.events.heartbeat()
	}
}

// respond implements responder.
func (a *httpResponder) respond(id json.RawMessage, response mcp.JSONRPCMessage) error {
	if a.events == nil && (a.plain || !a.stream()) {
		if a.sessionID != "" {
			a.w.Header().Set(mcp.HeaderSessionID, a.sessionID)
		}
		a.writer.out = jsonSink{a.w, a.status(response), a.timeout}
	}
	return a.writer.respond(id, response)
}

// flush implements responder.
func (a *httpResponder) flush() error { return http.NewResponseController(a.w).Flush() }

// finish implements responder.
func (a *httpResponder) finish() {
	if !a.stream() {
		writeStatus(a.w, http.StatusNoContent)
	}
}

// status returns the HTTP status of a response; protocol 2026-07-28 maps errors
// to their own.
func (a *httpResponder) status(response mcp.JSONRPCMessage) int {
	failure, ok := response.(mcp.JSONRPCError)
	if !ok || !a.stateless {
		return http.StatusOK
	}
	switch failure.Error.Code {
	case mcp.METHOD_NOT_FOUND:
		return http.StatusNotFound
	case mcp.HEADER_MISMATCH, mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, mcp.UNSUPPORTED_PROTOCOL_VERSION,
		mcp.INVALID_REQUEST, mcp.INVALID_PARAMS, mcp.PARSE_ERROR:
		return http.StatusBadRequest
	default:
		return http.StatusOK
	}
}

// jsonSink writes one message as the whole body.
type jsonSink struct {
	w       http.ResponseWriter
	status  int
	timeout time.Duration
}

func (s jsonSink) message(parts ...part) error {
	parts = append(slices.Clip(parts), text("\n"))
	size := sizeOf(parts)
	_ = http.NewResponseController(s.w).SetWriteDeadline(time.Now().Add(s.timeout + sizeTimeout(size)))
	s.w.Header().Set("Content-Type", "application/json")
	s.w.Header().Set("Content-Length", strconv.Itoa(size))
	s.w.WriteHeader(s.status)
	return writeParts(s.w, parts...)
}

// writeError answers a message that is not passed to the handler.
func writeError(w http.ResponseWriter, status int, e *ProtocolError) {
	if !isRequestID(e.ID) {
		e.ID = nil
	}
	m := messageWriter{out: jsonSink{w, status, time.Minute}}
	_ = m.respond(e.response()) // a client that is gone needs no answer
}
