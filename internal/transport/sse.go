package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"time"

	"zai-image-mcp/internal/limit"
)

// ServeSSE serves the stream of HTTP+SSE, which carries all messages to one
// client.
// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse
func (h *HTTP) ServeSSE(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		methodNotAllowed(w, r, "GET", "Only GET; messages go to the endpoint that the stream names.")
		return
	}
	c := callerFrom(r.Context())
	s := newSession(rand.Text(), c.Owner, limit.SSENotifications)
	s.expiry.show(c.Principal)
	if !c.Authenticated() {
		c.Client += " " + s.id
	}
	// Calls end with the stream: their responses could not be delivered.
	ctx, cancel := context.WithCancel(WithCaller(r.Context(), c))
	defer cancel()
	done, err := h.streams.begin(&stream{cancel, c.Principal, s, true})
	if err != nil {
		serviceUnavailable(w, r, err, retrySoon)
		return
	}
	defer done()
	events, err := startEvents(w, h.limits.WriteTime)
	if err != nil {
		return // the client is gone already
	}
	l := h.lifecycle
	l.heartbeat = 0 // the stream has its own
	conn, err := connect(ctx, l, s, events)
	if err != nil {
		h.log.ErrorContext(ctx, "failed to open a connection", "error", err)
		return
	}
	remove := h.connections.add(conn)
	defer h.handler.CloseSession(ctx, s)
	defer conn.out.end() // nobody may write to the response after its handler
	defer remove()
	if conn.out.do(func() error { return events.endpoint(h.basePath + "/message?sessionId=" + url.QueryEscape(s.id)) }) != nil {
		return
	}
	h.runStream(ctx, conn, events)
}

// runStream writes notifications and heartbeats until ctx ends or the client
// does not read.
func (h *HTTP) runStream(ctx context.Context, c *connection, events *eventStream) {
	go c.forwardNotifications(ctx)
	beat := time.NewTicker(h.limits.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if c.out.do(events.heartbeat) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// ServeMessages takes the messages of HTTP+SSE. It ignores the headers of
// Streamable HTTP.
func (h *HTTP) ServeMessages(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		methodNotAllowed(w, r, "POST", "Only POST.")
		return
	}
	caller := callerFrom(r.Context())
	c, done := h.connections.find(caller.Principal, r.URL.Query().Get("sessionId"))
	if c == nil {
		Reject(w, r, http.StatusNotFound, "There is no such session: open the stream at /sse first.")
		return
	}
	defer done()
	line, parsed, ok := h.readMessage(w, r)
	if !ok {
		return
	}
	defer parsed()
	if !h.addWork() {
		serviceUnavailable(w, r, errEnding, h.retryAfter)
		return
	}
	defer h.work.Done()
	m, err := ParseMessage(line)
	if bad, ok := errors.AsType[*ProtocolError](err); ok {
		writeError(w, http.StatusBadRequest, bad)
		return
	}
	if !h.permit(w, r, &Request{Caller: caller, Message: m}) {
		return
	}
	switch err := c.take(r.Context(), caller.Principal, m); {
	case err != nil:
		serviceUnavailable(w, r, errOverloaded, time.Second)
	default:
		writeStatus(w, http.StatusAccepted)
	}
}
