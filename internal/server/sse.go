package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// sseEndpoint is the stream of HTTP+SSE, which carries all that the server
// says to one client.
// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse
func (h *web) sseEndpoint(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		refuse(w, r, http.StatusMethodNotAllowed, "Only GET; messages go to the endpoint that the stream names.")
		return
	}
	c := callerOf(r.Context())
	s := newSession(rand.Text(), c.owner, callBuffer)
	if h.Tokens == nil {
		c.client += " " + s.id
	}
	// Calls end with the stream: their answers could not be delivered.
	ctx, cancel := context.WithCancel(withCaller(r.Context(), c))
	defer cancel()
	finished, err := h.streams.begin(c, true, cancel)
	if err != nil {
		busyHere(w, r, err, soon)
		return
	}
	defer finished()
	events, err := startEvents(w, h.WriteTime)
	if err != nil {
		return // the client is gone already
	}
	connection, err := h.connect(ctx, s, events, h.roomFor(c.client))
	if err != nil {
		h.log.ErrorContext(ctx, "no connection", "error", err)
		return
	}
	h.sse.Store(s.id, connection)
	defer h.mcp.UnregisterSession(ctx, s.id)
	defer connection.out.end() // nobody may write to the response after its handler
	defer h.sse.Delete(s.id)
	if connection.out.do(func() error { return events.endpoint(h.basePath() + "/message?sessionId=" + url.QueryEscape(s.id)) }) != nil {
		return
	}
	go connection.forwardNotifications(ctx)
	beat := time.NewTicker(h.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if connection.out.do(events.heartbeat) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// basePath is the path that a proxy in front takes away.
func (h *web) basePath() string {
	if h.PublicURL == nil {
		return ""
	}
	return strings.TrimSuffix(h.PublicURL.Path, "/")
}

// messageEndpoint takes the messages of HTTP+SSE. Headers of the other HTTP
// transport mean nothing here.
func (h *web) messageEndpoint(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		refuse(w, r, http.StatusMethodNotAllowed, "Only POST.")
		return
	}
	value, _ := h.sse.Load(r.URL.Query().Get("sessionId"))
	c, ok := value.(*connection)
	if !ok || c.session.owner != ownerOf(r.Context()) {
		refuse(w, r, http.StatusNotFound, "There is no such session: open the stream at /sse first.")
		return
	}
	body, parsed, err := h.readBody(w, r)
	if err != nil {
		w.Header().Set("Connection", "close")
		status, text := bodyFailure(err)
		protocolError(w, status, nil, mcp.INVALID_REQUEST, text)
		return
	}
	defer parsed()
	if !h.begin() {
		busyHere(w, r, errEnding, h.grace)
		return
	}
	defer h.work.Done()
	err = c.take(r.Context(), bytes.TrimSpace(body))
	bad, isBad := errors.AsType[*badMessage](err)
	switch {
	case isBad:
		protocolError(w, http.StatusBadRequest, bad.id, bad.code, bad.text)
	case err != nil:
		busyHere(w, r, errManyRequests, time.Second)
	default:
		accept(w, http.StatusAccepted)
	}
}
