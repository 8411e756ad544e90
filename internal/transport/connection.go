package transport

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
)

// connection is a client whose messages all go into one stream, as over stdio
// and HTTP+SSE.
type connection struct {
	lifecycle
	session *session
	out     *messageWriter
	base    context.Context //nolint:containedctx // the life of the connection; carries its caller
	client  context.Context //nolint:containedctx // ends when nobody can receive responses any more
	work    sync.WaitGroup  // unanswered requests
}

// connect opens a connection that lives as long as base.
func connect(base context.Context, l lifecycle, s *session, out sink) (*connection, error) {
	if err := l.handler.OpenSession(base, s); err != nil {
		return nil, err
	}
	c := &connection{lifecycle: l, session: s, out: &messageWriter{out: out}, base: base, client: base}
	c.running, c.oneStream = &c.work, true
	return c, nil
}

// weight returns the bytes that a request counts for while it is in flight.
func weight(m *Message) int { return max(len(m.Raw), limit.MinWeight) }

// dispatch parses one message and takes it.
func (c *connection) dispatch(wait context.Context, line []byte) error {
	m, err := ParseMessage(line)
	if err != nil {
		return err
	}
	return c.take(wait, callerFrom(c.base).Principal, m)
}

// take takes one message, which may have another credential than the
// connection. While too much is in flight it blocks until wait ends; an error
// means that the message was not taken. It does not wait for the client to read
// the answer.
func (c *connection) take(wait context.Context, p auth.Principal, m Message) error {
	caller := callerFrom(c.base)
	caller.Principal = p
	switch {
	case m.is(mcp.MethodNotificationCancelled):
		c.session.requests.cancel(m.CancelID)
		return nil
	case m.Method == "":
		return nil // a response, but the server sends no requests
	case !m.isRequest():
		c.notification(c.base, m, c.session)
		return nil
	}
	run, err := c.begin(wait, incoming{
		Request: &Request{Caller: caller, Message: m}, session: c.session, out: streamResponder{c.out, c.log}, client: c.client, wanted: c.base,
	})
	if err != nil {
		return err
	}
	done := make(chan struct{})
	c.work.Go(func() {
		defer close(done)
		run()
	})
	if m.is(mcp.MethodInitialize) {
		// The next message may rely on the handshake. If the client does not
		// read the response, the next message waits only until wait ends.
		select {
		case <-done:
		case <-wait.Done():
		}
	}
	return nil
}

// refuse answers a message that violates the protocol.
func (c *connection) refuse(wait context.Context, e *ProtocolError) {
	release, err := c.admit(wait, &Request{Caller: callerFrom(c.base)})
	if err != nil {
		return // the connection ends
	}
	c.work.Go(func() {
		defer release()
		_ = c.out.respond(e.response()) // a client that is gone needs no answer
	})
}

// forwardNotifications writes the notifications of the session until ctx ends,
// and then those that were sent before.
func (c *connection) forwardNotifications(ctx context.Context) {
	out := streamResponder{c.out, c.log}
	for {
		select {
		case n := <-c.session.notifications:
			out.notify(n)
			continue
		default:
		}
		select {
		case n := <-c.session.notifications:
			out.notify(n)
		case <-ctx.Done():
			return
		}
	}
}

// streamResponder answers a request in the stream of its connection.
type streamResponder struct {
	*messageWriter
	log *slog.Logger
}

func (s streamResponder) notify(n mcp.JSONRPCNotification) {
	if err := s.messageWriter.notify(n); err != nil {
		s.log.Debug("failed to write a notification", "error", err)
	}
}

func (s streamResponder) respond(id json.RawMessage, response mcp.JSONRPCMessage) error {
	return s.messageWriter.respond(id, response)
}

func (streamResponder) heartbeat()   {} // the connection has its own
func (streamResponder) flush() error { return nil }
func (streamResponder) finish()      {}
