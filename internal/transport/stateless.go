package transport

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/limit"
)

// postStateless takes a message of protocol 2026-07-28, where every request
// stands alone: there are no sessions, and closing the stream cancels the
// request.
func (h *HTTP) postStateless(w http.ResponseWriter, r *http.Request, m Message) {
	switch {
	case m.Method == "":
		writeError(w, http.StatusBadRequest, &ProtocolError{m.ID, mcp.INVALID_REQUEST, "The server asks nothing in this protocol version, so there is nothing to answer."})
		return
	case len(m.ID) == 0:
		// notifications/cancelled has no effect either: another client may use
		// the same request id.
		writeStatus(w, http.StatusAccepted)
		return
	}
	if bad := checkStateless(r, &m); bad != nil {
		writeError(w, http.StatusBadRequest, bad)
		return
	}
	c := callerFrom(r.Context())
	if info := m.Meta.ClientInfo(); info != nil && !c.Authenticated() {
		// Without session and token, name and address identify a client.
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		c.Client += " at " + host + " " + limit.Clip(info.Name) + " " + limit.Clip(info.Version)
	}
	out := newResponder(w, r, h.limits.WriteTime)
	out.stateless = true
	in := incoming{
		Request: &Request{Caller: c, Message: m}, session: newSession("request-"+rand.Text(), c.Owner, 0), out: out, client: WithCaller(r.Context(), c),
	}
	in.session.expiry.show(c.Principal)
	if m.is(mcp.MethodSubscriptionsListen) {
		h.subscribe(w, r, in)
		return
	}
	h.answer(w, r, in)
}

// checkStateless checks the headers that protocol 2026-07-28 requires: they
// must agree with the message. It returns nil if they do.
func checkStateless(r *http.Request, m *Message) *ProtocolError {
	header, meta := r.Header.Get(mcp.HeaderProtocolVersion), m.Meta.ProtocolVersion()
	mismatch := func(text string) *ProtocolError { return &ProtocolError{m.ID, mcp.HEADER_MISMATCH, text} }
	switch {
	case r.Header.Get(mcp.HeaderLastEventID) != "":
		return mismatch("There is no " + mcp.HeaderLastEventID + ": streams cannot be resumed in this protocol version.")
	case header == "":
		return mismatch("The header " + mcp.HeaderProtocolVersion + " is missing.")
	case meta == "":
		return &ProtocolError{m.ID, mcp.INVALID_PARAMS, "_meta lacks " + mcp.MetaKeyProtocolVersion + "."}
	case header != meta:
		return mismatch(mcp.HeaderProtocolVersion + " differs from " + mcp.MetaKeyProtocolVersion + " of the message.")
	}
	if err := mcp.ValidateStandardHeaders(r.Header.Get, meta, mcp.MCPMethod(m.Method), m.Params); err != nil {
		return mismatch(err.Error())
	}
	return nil
}

// subscribe serves a stream of notifications that the client chose.
func (h *HTTP) subscribe(w http.ResponseWriter, r *http.Request, in incoming) {
	ctx, cancel := context.WithCancel(in.client)
	defer cancel()
	if len(in.Raw) > limit.SmallBody { // it is kept as long as the stream
		writeError(w, http.StatusRequestEntityTooLarge, &ProtocolError{in.ID, mcp.INVALID_PARAMS, "Too much to subscribe to at once."})
		return
	}
	done, err := h.streams.begin(&stream{cancel, in.Principal, in.session, false})
	if err != nil {
		serviceUnavailable(w, r, err, retrySoon)
		return
	}
	defer done()
	if out, ok := in.out.(*httpResponder); ok && !out.streams {
		notAcceptable(w, r)
		return
	}
	in.wanted = ctx
	h.answer(w, r, in)
}
