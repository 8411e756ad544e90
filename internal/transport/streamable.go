package transport

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// ServeMCP serves Streamable HTTP.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
func (h *HTTP) ServeMCP(w http.ResponseWriter, r *http.Request) {
	stateless := mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
	switch {
	case r.Method == http.MethodPost:
		h.post(w, r)
	case r.Method == http.MethodGet && !stateless:
		h.listen(w, r)
	case r.Method == http.MethodDelete && !stateless:
		h.terminate(w, r)
	case stateless:
		methodNotAllowed(w, r, "POST", "Only POST: there are no sessions in this protocol version.")
	default:
		methodNotAllowed(w, r, "GET, POST, DELETE", "Only GET, POST and DELETE.")
	}
}

// post takes one message.
func (h *HTTP) post(w http.ResponseWriter, r *http.Request) {
	line, parsed, ok := h.readMessage(w, r)
	if !ok {
		return
	}
	defer parsed()
	m, err := ParseMessage(line)
	if bad, ok := errors.AsType[*ProtocolError](err); ok {
		writeError(w, http.StatusBadRequest, bad)
		return
	}
	if !h.permit(w, r, &Request{Caller: callerFrom(r.Context()), Message: m}) {
		return
	}
	if takesTime(&m) {
		parsed() // from here on its bytes count as in flight, or it is refused
	}
	if !h.addWork() {
		serviceUnavailable(w, r, errEnding, h.retryAfter)
		return
	}
	defer h.work.Done()
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	switch {
	case mcp.IsModernProtocol(version), mcp.IsModernProtocol(m.Meta.ProtocolVersion()):
		h.postStateless(w, r, m)
	case version != "" && !mcp.IsValidProtocolVersion(version) && !m.is(mcp.MethodInitialize):
		writeError(w, http.StatusBadRequest, &ProtocolError{m.ID, mcp.INVALID_REQUEST, "Unsupported protocol version in " + mcp.HeaderProtocolVersion})
	default:
		h.postInSession(w, r, m)
	}
}

// takesTime reports whether a request is not answered at once.
func takesTime(m *Message) bool {
	return m.is(mcp.MethodToolsCall) || m.is(mcp.MethodResourcesRead) || m.is(mcp.MethodSubscriptionsListen)
}

// postInSession takes a message of a protocol before 2026-07-28.
func (h *HTTP) postInSession(w http.ResponseWriter, r *http.Request, m Message) {
	var s *webSession
	out := newResponder(w, r, h.limits.WriteTime)
	if m.is(mcp.MethodInitialize) && m.isRequest() {
		var err error
		if s, err = h.sessions.open(r.Context(), h.now()); err != nil {
			serviceUnavailable(w, r, err, retrySoon)
			return
		}
		out.sessionID = s.id
	} else if s = h.findSession(w, r, !m.is(mcp.MethodNotificationInitialized)); s == nil {
		return
	}
	ctx := r.Context()
	c := callerFrom(ctx)
	if !c.Authenticated() { // authenticated sessions share the quotas of their owner
		c.Client += " " + s.id
	}
	ctx = WithCaller(ctx, c)
	switch {
	case m.is(mcp.MethodNotificationCancelled):
		s.requests.cancel(m.CancelID)
		writeStatus(w, http.StatusAccepted)
	case !m.isRequest():
		if m.Method != "" {
			h.notification(ctx, m, s.session)
		}
		writeStatus(w, http.StatusAccepted)
	default:
		// A request ends with its connection or its session: no stream can be
		// resumed, so nobody would receive the response. An image whose request
		// was not sent yet is not paid for. One that was sent is finished, as
		// after a cancel, and the same call or get_image finds it.
		response := h.answer(w, r, incoming{Request: &Request{Caller: c, Message: m}, session: s.session, out: out, client: ctx})
		if _, failed := response.(mcp.JSONRPCError); out.sessionID != "" && (failed || response == nil) {
			h.sessions.close(s) // there was no handshake
		}
	}
}

// answer answers a request and returns the response, nil if there was none.
func (h *HTTP) answer(w http.ResponseWriter, r *http.Request, in incoming) mcp.JSONRPCMessage {
	run, err := h.forStreamable().begin(in.client, in)
	if err != nil {
		serviceUnavailable(w, r, err, time.Second)
		return nil
	}
	return run()
}

// findSession returns the session that a request names, or answers that there
// is none. A session of another owner counts as missing.
func (h *HTTP) findSession(w http.ResponseWriter, r *http.Request, uses bool) *webSession {
	id := r.Header.Get(mcp.HeaderSessionID)
	if id == "" {
		Reject(w, r, http.StatusBadRequest, mcp.HeaderSessionID+" is missing: begin with initialize.")
		return nil
	}
	s := h.sessions.find(callerFrom(r.Context()).Principal, id, h.now(), uses)
	if s == nil {
		Reject(w, r, http.StatusNotFound, "There is no such session: begin again with initialize.")
	}
	return s
}

// listen serves the stream of notifications that belong to no request.
func (h *HTTP) listen(w http.ResponseWriter, r *http.Request) {
	if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "text/event-stream") && !strings.Contains(accept, "*/*") {
		notAcceptable(w, r)
		return
	}
	s := h.findSession(w, r, true)
	if s == nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	done, err := h.streams.begin(&stream{cancel, callerFrom(ctx).Principal, s.session, false})
	if err != nil {
		serviceUnavailable(w, r, err, retrySoon)
		return
	}
	defer done()
	defer s.replaceStream(cancel)()
	events, err := startEvents(w, h.limits.WriteTime)
	if err != nil {
		return // the client is gone already
	}
	h.forward(ctx, s, events)
}

// forward writes the notifications of a session until ctx ends or the client
// does not read.
func (h *HTTP) forward(ctx context.Context, s *webSession, events *eventStream) {
	out := messageWriter{out: events}
	beat := time.NewTicker(h.limits.Heartbeat)
	defer beat.Stop()
	var err error
	for err == nil {
		select {
		case n := <-s.notifications:
			if ctx.Err() != nil { // it is for the stream that replaced this one
				select {
				case s.notifications <- n:
				default:
				}
				return
			}
			err = out.notify(n)
		case <-beat.C:
			err = events.heartbeat()
		case <-ctx.Done():
			return
		}
	}
}

func notAcceptable(w http.ResponseWriter, r *http.Request) {
	Reject(w, r, http.StatusNotAcceptable, "This is a stream of text/event-stream.")
}

// terminate ends a session.
func (h *HTTP) terminate(w http.ResponseWriter, r *http.Request) {
	if s := h.findSession(w, r, true); s != nil {
		h.sessions.close(s)
		writeStatus(w, http.StatusNoContent)
	}
}
