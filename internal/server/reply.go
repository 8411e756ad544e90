package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// reply is the answer to one request over Streamable HTTP: plain JSON, or a
// stream as soon as there is something to say before the result.
type reply struct {
	w         http.ResponseWriter
	limit     time.Duration // for one write
	streams   bool          // the client accepts a stream
	plain     bool          // the client accepts JSON alone
	modern    bool          // errors have their own HTTP status
	messages  messages
	events    *eventStream
	sessionID string                                       // of a new session
	tag       func(*mcp.JSONRPCNotification) (wanted bool) // nil for none
}

// newReply looks what the client accepts. A client that does not say accepts
// both, as the protocol asks of it.
func newReply(w http.ResponseWriter, r *http.Request, limit time.Duration) *reply {
	a := &reply{w: w, limit: limit}
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	all := accept == "" || strings.Contains(accept, "*/*")
	a.streams = all || strings.Contains(accept, "text/event-stream")
	a.plain = all || strings.Contains(accept, "application/json") || strings.Contains(accept, "application/*")
	return a
}

// stream turns the answer into a stream. It is false when the client wants
// none, or is gone.
func (a *reply) stream() bool {
	if a.events != nil {
		return true
	}
	if !a.streams {
		return false
	}
	if a.sessionID != "" {
		a.w.Header().Set(mcp.HeaderSessionID, a.sessionID)
	}
	events, err := startEvents(a.w, a.limit)
	if err != nil {
		return false
	}
	a.events, a.messages.out = events, events
	return true
}

// notify sends a notification ahead of the result.
func (a *reply) notify(n mcp.JSONRPCNotification) {
	if a.tag != nil && !a.tag(&n) {
		return
	}
	if a.stream() {
		_ = a.messages.notify(n) // a client that is gone shows at the next write
	}
}

// beat gives a sign of life.
func (a *reply) beat() {
	if a.stream() {
		_ = a.events.heartbeat()
	}
}

// respond ends the answer with a response.
func (a *reply) respond(id json.RawMessage, response mcp.JSONRPCMessage) error {
	if a.events == nil && (a.plain || !a.stream()) {
		if a.sessionID != "" {
			a.w.Header().Set(mcp.HeaderSessionID, a.sessionID)
		}
		a.messages.out = jsonSink{a.w, a.status(response), a.limit}
	}
	return a.messages.respond(id, response)
}

// status maps errors as protocol 2026-07-28 asks.
func (a *reply) status(response mcp.JSONRPCMessage) int {
	failure, ok := response.(mcp.JSONRPCError)
	if !ok || !a.modern {
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
	w      http.ResponseWriter
	status int
	limit  time.Duration
}

func (s jsonSink) message(parts ...string) error {
	_ = http.NewResponseController(s.w).SetWriteDeadline(time.Now().Add(s.limit + patience(parts)))
	s.w.Header().Set("Content-Type", "application/json")
	s.w.WriteHeader(s.status)
	return lineSink{s.w}.message(parts...)
}

// protocolError answers a request that the message handler never sees.
func protocolError(w http.ResponseWriter, status int, id json.RawMessage, code int, text string) {
	if !isRequestID(id) {
		id = json.RawMessage("null")
	}
	m := messages{out: jsonSink{w, status, time.Minute}}
	_ = m.respond(id, mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(code, text, nil)})
}
