package server

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
)

// postModern serves protocol 2026-07-28, where every request stands for
// itself: there are no sessions, and to close the stream is to cancel.
func (h *web) postModern(w http.ResponseWriter, r *http.Request, e envelope, line []byte) {
	switch {
	case e.Method == "":
		protocolError(w, http.StatusBadRequest, e.ID, mcp.INVALID_REQUEST, "The server asks nothing in this protocol version, so there is nothing to answer.")
		return
	case len(e.ID) == 0:
		// Not even notifications/cancelled: it names a request by a number
		// that any other client may have given too.
		accept(w, http.StatusAccepted)
		return
	}
	if code, text := checkModern(r, e); text != "" {
		protocolError(w, http.StatusBadRequest, e.ID, code, text)
		return
	}
	ctx, cancel := context.WithCancel(h.asModernClient(r, e))
	s := newSession("request-"+rand.Text(), ownerOf(ctx), 0)
	answer := newReply(w, r, h.WriteTime)
	answer.modern = true
	c := call{ctx, cancel, s, e, line}
	if e.Method == string(mcp.MethodSubscriptionsListen) {
		h.subscribe(w, r, c, answer)
		return
	}
	h.serve(w, r, c, answer)
}

// checkModern checks what protocol 2026-07-28 asks of the headers: that they
// say the same as the message.
func checkModern(r *http.Request, e envelope) (code int, text string) {
	header, meta := r.Header.Get(mcp.HeaderProtocolVersion), e.Meta.ProtocolVersion()
	switch {
	case r.Header.Get(mcp.HeaderLastEventID) != "":
		return mcp.HEADER_MISMATCH, "There is no " + mcp.HeaderLastEventID + ": streams cannot be resumed in this protocol version."
	case header == "":
		return mcp.HEADER_MISMATCH, "The header " + mcp.HeaderProtocolVersion + " is missing."
	case meta == "":
		return mcp.INVALID_PARAMS, "_meta lacks " + mcp.MetaKeyProtocolVersion + "."
	case header != meta:
		return mcp.HEADER_MISMATCH, mcp.HeaderProtocolVersion + " differs from " + mcp.MetaKeyProtocolVersion + " of the message."
	}
	if err := mcp.ValidateStandardHeaders(r.Header.Get, meta, mcp.MCPMethod(e.Method), e.params); err != nil {
		return mcp.HEADER_MISMATCH, err.Error()
	}
	return 0, ""
}

// asModernClient tells clients apart that have neither session nor token: by
// the name they give themselves and where they are.
func (h *web) asModernClient(r *http.Request, e envelope) context.Context {
	c := callerOf(r.Context())
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if info := e.Meta.ClientInfo(); info != nil && h.Tokens == nil {
		c.client += " at " + host + " " + clip(info.Name) + " " + clip(info.Version)
	}
	return withCaller(r.Context(), c)
}

// subscribe is a stream of notifications that the client chose.
func (h *web) subscribe(w http.ResponseWriter, r *http.Request, c call, answer *reply) {
	ctx, cancel := c.ctx, c.cancel
	defer cancel()
	if len(c.line) > smallBody { // it is kept as long as the stream
		protocolError(w, http.StatusRequestEntityTooLarge, c.envelope.ID, mcp.INVALID_PARAMS, "Too much to subscribe to at once.")
		return
	}
	finished, err := h.streams.begin(callerOf(ctx), false, cancel)
	if err != nil {
		busyHere(w, r, err, soon)
		return
	}
	defer finished()
	if !answer.streams {
		refuse(w, r, http.StatusNotAcceptable, "This is a stream of text/event-stream.")
		return
	}
	session := newSubscription(c.envelope.ID, c.session.owner)
	answer.tag = session.tag
	if err := h.mcp.RegisterSession(ctx, session); err != nil {
		h.log.ErrorContext(ctx, "failed to register a subscription", "error", err)
		return
	}
	defer h.mcp.UnregisterSession(ctx, session.SessionID())
	done := make(chan mcp.JSONRPCMessage, 1)
	go func() { done <- h.handle(h.mcp.WithContext(ctx, session), c.line) }()
	if response := h.follow(r.Context(), session.own, done, answer); response != nil {
		_ = answer.respond(c.envelope.ID, response) // a client that is gone needs no answer
	}
}
