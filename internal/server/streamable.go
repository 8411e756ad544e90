package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// mcpEndpoint serves Streamable HTTP.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
func (h *web) mcpEndpoint(w http.ResponseWriter, r *http.Request) {
	modern := mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
	switch {
	case r.Method == http.MethodPost:
		h.post(w, r)
	case r.Method == http.MethodGet && !modern:
		h.listen(w, r)
	case r.Method == http.MethodDelete && !modern:
		h.terminate(w, r)
	case modern:
		w.Header().Set("Allow", "POST")
		refuse(w, r, http.StatusMethodNotAllowed, "Only POST: there are no sessions in this protocol version.")
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		refuse(w, r, http.StatusMethodNotAllowed, "Only GET, POST and DELETE.")
	}
}

// post takes one message.
func (h *web) post(w http.ResponseWriter, r *http.Request) {
	body, parsed, err := h.readBody(w, r)
	if err != nil {
		w.Header().Set("Connection", "close")
		status, text := bodyFailure(err)
		protocolError(w, status, nil, mcp.INVALID_REQUEST, text)
		return
	}
	defer parsed()
	line := bytes.TrimSpace(body)
	e, err := open(line)
	if bad, ok := errors.AsType[*badMessage](err); ok {
		protocolError(w, http.StatusBadRequest, bad.id, bad.code, bad.text)
		return
	}
	if takesTime(e.Method) {
		parsed() // from here on its bytes count as under way, or it is refused
	}
	if !h.begin() {
		busyHere(w, r, errEnding, h.grace)
		return
	}
	defer h.work.Done()
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	switch {
	case mcp.IsModernProtocol(version), mcp.IsModernProtocol(e.Meta.ProtocolVersion()):
		h.postModern(w, r, e, line)
	case version != "" && !mcp.IsValidProtocolVersion(version) && e.Method != string(mcp.MethodInitialize):
		protocolError(w, http.StatusBadRequest, e.ID, mcp.INVALID_REQUEST, "Unsupported protocol version in "+mcp.HeaderProtocolVersion)
	default:
		h.postInSession(w, r, e, line)
	}
}

// postInSession is the way of protocols before 2026-07-28.
func (h *web) postInSession(w http.ResponseWriter, r *http.Request, e envelope, line []byte) {
	var s *webSession
	isRequest := e.Method != "" && len(e.ID) > 0
	answer := newReply(w, r, h.WriteTime)
	if e.Method == string(mcp.MethodInitialize) && isRequest {
		var err error
		if s, err = h.sessions.open(r.Context(), h.now()); err != nil {
			busyHere(w, r, err, soon)
			return
		}
		answer.sessionID = s.id
	} else if s = h.findSession(w, r, e.Method != string(mcp.MethodNotificationInitialized)); s == nil {
		return
	}
	ctx := h.inSession(r.Context(), s)
	switch {
	case e.Method == string(mcp.MethodNotificationCancelled):
		s.calls.cancel(e.RequestID)
		accept(w, http.StatusAccepted)
	case !isRequest:
		h.handle(h.mcp.WithContext(ctx, s.session), line)
		accept(w, http.StatusAccepted)
	default:
		// A request ends with its connection or its session, because no stream
		// can be resumed and so nobody would receive the answer. What was not
		// sent yet is not paid for. What was sent goes on, as after a cancel,
		// and the same call or get_image finds it.
		ctx, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(s.base, cancel)
		response := h.serve(w, r, call{ctx, func() { stop(); cancel() }, s.session, e, line}, answer)
		if _, failed := response.(mcp.JSONRPCError); answer.sessionID != "" && (failed || response == nil) {
			h.sessions.close(s) // there was no handshake
		}
	}
}

// inSession names the session as the client that takes turns with others,
// where owners are not told apart.
func (h *web) inSession(ctx context.Context, s *webSession) context.Context {
	c := callerOf(ctx)
	if h.Tokens == nil {
		c.client += " " + s.id
	}
	return withCaller(ctx, c)
}

// findSession gives the session that a request names, or answers that there is
// none. Another owner's is none. Whether the request uses it decides how long it
// stays.
func (h *web) findSession(w http.ResponseWriter, r *http.Request, uses bool) *webSession {
	id := r.Header.Get(mcp.HeaderSessionID)
	if id == "" {
		refuse(w, r, http.StatusBadRequest, mcp.HeaderSessionID+" is missing: begin with initialize.")
		return nil
	}
	s := h.sessions.find(ownerOf(r.Context()), id, h.now(), uses)
	if s == nil {
		refuse(w, r, http.StatusNotFound, "There is no such session: begin again with initialize.")
	}
	return s
}

// takesTime tells the requests that are not answered at once.
func takesTime(method string) bool {
	switch mcp.MCPMethod(method) {
	case mcp.MethodToolsCall, mcp.MethodResourcesRead, mcp.MethodSubscriptionsListen:
		return true
	default:
		return false
	}
}

// call is one request to be answered.
type call struct {
	ctx      context.Context //nolint:containedctx // the life of the request
	cancel   context.CancelFunc
	session  *session
	envelope envelope
	line     json.RawMessage
}

// Notifications that a request may be ahead of its client. A call's are few,
// but they must not be lost while the connection is slow.
const (
	callBuffer  = 512
	otherBuffer = 16
)

// serve answers a request and gives the response, nil when there was none. All
// that is written to the client is written here, in the order in which it was
// sent, and the result comes last.
func (h *web) serve(w http.ResponseWriter, r *http.Request, c call, answer *reply) mcp.JSONRPCMessage {
	id, method, client := c.envelope.ID, c.envelope.Method, clientOf(c.ctx)
	leave := func() {}
	if method == string(mcp.MethodToolsCall) || method == string(mcp.MethodResourcesRead) { // others take no time
		var err error
		if leave, err = h.roomFor(client)(c.ctx, weight(c.line)); err != nil {
			c.cancel()
			if refusal := tooMany(method); refusal == nil || answer.respond(id, refusal) != nil {
				busyHere(w, r, err, time.Second)
			}
			return nil
		}
	}
	ctx, delivery := h.withDelivery(c.ctx)
	c.ctx = ctx
	written := false
	defer func() { settle(c.ctx, delivery, written) }()
	flight := c.session.calls.add(id, method, c.cancel)
	if flight == nil {
		c.cancel()
		leave()
		_ = answer.respond(id, sameID()) // a client that is gone needs no answer
		return nil
	}
	if method == string(mcp.MethodResourcesRead) {
		if end, ok := h.reads.begin(c.ctx, client); ok {
			defer end()
		}
	}
	response := h.run(r, c, flight, answer, leave)
	switch {
	case response != nil && !c.session.calls.wasCancelled(flight):
		err := answer.respond(id, response)
		if err == nil && !delivery.Empty() {
			err = errors.Join(http.NewResponseController(w).Flush(), r.Context().Err())
		}
		if written = err == nil; !written {
			h.log.InfoContext(r.Context(), "answer not written", "error", err)
		}
	case r.Context().Err() == nil && !answer.stream():
		accept(w, http.StatusNoContent) // a cancelled request gets an end, but no answer
	}
	return response
}

// run has a request handled beside the connection that waits for it.
func (h *web) run(r *http.Request, c call, flight *inFlight, answer *reply, leave func()) mcp.JSONRPCMessage {
	own := make(chan mcp.JSONRPCNotification, otherBuffer)
	if c.envelope.Method == string(mcp.MethodToolsCall) {
		own = make(chan mcp.JSONRPCNotification, callBuffer)
	}
	session := &requestSession{c.session, own}
	done := make(chan mcp.JSONRPCMessage, 1)
	h.work.Go(func() {
		defer leave()
		defer c.cancel()
		response := h.handle(h.mcp.WithContext(c.ctx, session), c.line)
		c.session.calls.remove(c.envelope.ID, flight)
		done <- response
	})
	response := h.follow(r.Context(), own, done, answer)
	if response == nil && c.envelope.Method == string(mcp.MethodResourcesRead) {
		<-done // what is read is in memory until then
	}
	return response
}

// follow passes on what is sent ahead of a response, with signs of life, and
// returns the response; nil when the client left before.
func (h *web) follow(ctx context.Context, own <-chan mcp.JSONRPCNotification, done <-chan mcp.JSONRPCMessage, answer *reply) mcp.JSONRPCMessage {
	beat := time.NewTicker(h.Heartbeat)
	defer beat.Stop()
	return relay(ctx, own, done, beat.C, answer)
}

// listen is the stream of what the server says by itself.
func (h *web) listen(w http.ResponseWriter, r *http.Request) {
	if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "text/event-stream") && !strings.Contains(accept, "*/*") {
		refuse(w, r, http.StatusNotAcceptable, "This is a stream of text/event-stream.")
		return
	}
	s := h.findSession(w, r, true)
	if s == nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	finished, err := h.streams.begin(callerOf(ctx), false, cancel)
	if err != nil {
		busyHere(w, r, err, soon)
		return
	}
	defer finished()
	defer context.AfterFunc(s.base, cancel)()
	defer s.takeStream(cancel)()
	events, err := startEvents(w, h.WriteTime)
	out := messages{out: events, err: err}
	beat := time.NewTicker(h.Heartbeat)
	defer beat.Stop()
	for err == nil {
		select {
		case n := <-s.notifications:
			if ctx.Err() != nil { // for the stream that took this one's place
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

// terminate ends a session.
func (h *web) terminate(w http.ResponseWriter, r *http.Request) {
	if s := h.findSession(w, r, true); s != nil {
		h.sessions.close(s)
		accept(w, http.StatusNoContent)
	}
}
