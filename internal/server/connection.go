package server

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

const (
	maxInFlight = 32 << 20 // bytes of requests under way; more wait unread
	minWeight   = 32 << 10 // what a request counts at least, so that there are at most 1024
	maxReads    = 8        // large answers being made at once
)

// connection is a client for which everything the server says goes into one
// stream: stdio, and HTTP+SSE.
type connection struct {
	*Server
	session *session
	out     *messages
	base    context.Context //nolint:containedctx // the life of all requests
	room    room
	work    sync.WaitGroup // requests that are not answered yet
}

// room makes place for so many bytes of requests under way, perhaps after a
// wait. What it gives takes the place back.
type room func(ctx context.Context, bytes int) (leave func(), err error)

// connect begins a connection that lives as long as base.
func (s *Server) connect(base context.Context, session *session, out sink, room room) (*connection, error) {
	c := &connection{Server: s, session: session, out: &messages{out: out}, room: room}
	if err := s.mcp.RegisterSession(base, session); err != nil {
		return nil, err
	}
	c.base = s.mcp.WithContext(base, session)
	return c, nil
}

func weight(line []byte) int { return max(len(line), minWeight) }

// take sorts one message. While too much is under way it waits, as long as
// ctx; an error means that the message was not taken. It does not wait for the
// client to read what it is answered.
func (c *connection) take(ctx context.Context, line []byte) error {
	e, err := open(line)
	if err != nil {
		return err
	}
	switch {
	case e.Method == string(mcp.MethodNotificationCancelled):
		c.session.calls.cancel(e.RequestID)
	case e.Method == "":
		// A response, to a request that the server never sends.
	case len(e.ID) == 0:
		c.handle(c.base, line)
	case e.Method == string(mcp.MethodInitialize):
		c.initialize(ctx, e.ID, line)
	default:
		leave, err := c.room(ctx, weight(line))
		if refusal := tooMany(e.Method); errors.Is(err, errManyRequests) && refusal != nil {
			return c.out.respond(e.ID, refusal)
		}
		if err != nil {
			return err
		}
		c.begin(e.ID, e.Method, line, leave)
	}
	return nil
}

// initialize answers the handshake before the next message is taken, which may
// rely on it. A client that does not read its answer holds that up only until
// ctx ends.
func (c *connection) initialize(ctx context.Context, id, line json.RawMessage) {
	done := make(chan struct{})
	c.work.Go(func() {
		defer close(done)
		c.answer(c.base, id, line, nil)
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// refuse answers a message that is none of the protocol.
func (c *connection) refuse(ctx context.Context, bad *badMessage) {
	leave, err := c.room(ctx, minWeight)
	if err != nil {
		return // the connection ends
	}
	id := bad.id
	if id == nil {
		id = json.RawMessage("null")
	}
	c.work.Go(func() {
		defer leave()
		c.write(id, mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(bad.code, bad.text, nil)})
	})
}

// begin serves a request beside the others.
func (c *connection) begin(id json.RawMessage, method string, line []byte, leave func()) {
	ctx, cancel := context.WithCancel(c.base)
	ctx, delivery := c.withDelivery(ctx)
	r := c.session.calls.add(id, method, cancel)
	if r == nil {
		cancel()
		c.work.Go(func() {
			defer leave()
			c.write(id, sameID())
		})
		return
	}
	c.work.Go(func() {
		defer func() {
			cancel()
			c.session.calls.remove(id, r)
			leave()
		}()
		switch mcp.MCPMethod(method) {
		case mcp.MethodSubscriptionsListen:
			c.respond(id, c.subscribe(ctx, id, line), r)
			return
		case mcp.MethodResourcesRead:
			end, ok := c.reads.begin(ctx, clientOf(ctx))
			if !ok {
				return // who does not want it any more gets no answer
			}
			defer end()
		}
		settle(ctx, delivery, c.answer(ctx, id, line, r))
	})
}

// answer handles a request and writes its response behind all notifications
// that were sent for it.
func (c *connection) answer(ctx context.Context, id, line json.RawMessage, r *inFlight) (written bool) {
	response := c.handle(ctx, line)
	c.flushNotifications(ctx)
	return c.respond(id, response, r)
}

// respond writes the response to a request, unless it was cancelled.
func (c *connection) respond(id json.RawMessage, response mcp.JSONRPCMessage, r *inFlight) (written bool) {
	if r != nil {
		c.session.calls.remove(id, r)
		if c.session.calls.wasCancelled(r) {
			return false
		}
	}
	return response != nil && c.write(id, response)
}

func (c *connection) write(id json.RawMessage, response mcp.JSONRPCMessage) (written bool) {
	err := c.out.respond(id, response)
	if err != nil {
		c.log.WarnContext(c.base, "failed to write an answer", "error", err)
	}
	return err == nil
}

// handle runs the library on a message. A panic becomes an opaque error.
func (s *Server) handle(ctx context.Context, line json.RawMessage) (response mcp.JSONRPCMessage) {
	defer func() {
		if value := recover(); value != nil {
			reference := s.logPanic(ctx, "message", value)
			response = mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(mcp.INTERNAL_ERROR, "internal error, reference "+reference, nil)}
		}
	}()
	ctx, wanted := withRefusal(withLine(ctx, line))
	return wanted.apply(s.mcp.HandleMessage(ctx, line), line)
}

// flushMethod marks a message to ourselves in the stream of notifications.
const flushMethod = "internal/flush"

// flushNotifications returns when everything sent before is written.
func (c *connection) flushNotifications(ctx context.Context) {
	done := make(chan struct{})
	n := mcp.JSONRPCNotification{Notification: mcp.Notification{Method: flushMethod}}
	n.Params.AdditionalFields = map[string]any{"done": done}
	select {
	case c.session.notifications <- n:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (c *connection) forwardNotifications(ctx context.Context) {
	for {
		select {
		case n := <-c.session.notifications:
			if n.Method == flushMethod {
				if done, ok := n.Params.AdditionalFields["done"].(chan struct{}); ok {
					close(done)
				}
				continue
			}
			if err := c.out.notify(n); err != nil {
				c.log.DebugContext(ctx, "notification not written", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// finish lets requests end until the end of ctx, and ends streams at once.
func (c *connection) finish(ctx context.Context, cancel context.CancelFunc) {
	c.session.calls.endStreams()
	done := make(chan struct{})
	go func() {
		c.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		c.log.WarnContext(ctx, "calls are cut off", "grace", c.grace)
	}
	cancel()
	within(done, lastWords)
}

// lastWords is how long a host that does not read any more can keep the
// program from ending.
const lastWords = time.Second

func within(done <-chan struct{}, limit time.Duration) {
	select {
	case <-done:
	case <-time.After(limit):
	}
}
