package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"golang.org/x/sync/semaphore"
)

// The library's own stdio server runs at most a hundred calls, answers
// cancelled ones, loses a cancel that comes right behind its call, ends calls
// at the end of input and writes progress behind the answer. This transport
// does none of that.

const (
	maxInFlight = 32 << 20 // bytes of requests under way; more wait unread
	minWeight   = 32 << 10 // what a request counts at least, so that there are at most 1024
	maxReads    = 8        // large answers being made at once
)

// stdio is one connection over a pair of streams.
type stdio struct {
	*Server
	session *session
	out     *lineWriter
	base    context.Context     //nolint:containedctx // the life of all requests
	places  *semaphore.Weighted // bytes of requests under way
	reads   chan struct{}
	work    sync.WaitGroup // requests that are not answered yet

	mu       sync.Mutex
	inFlight map[string]*inFlight
}

// inFlight is a request that is not answered yet. It is known from the moment
// its line is read, so that no cancel comes too early for it.
type inFlight struct {
	cancel    context.CancelFunc
	cancelled bool
	endless   bool // a stream of notifications, which only its end answers
}

// ServeStdio serves one client until its input ends or ctx does, then finishes
// what is under way within the grace. Only failures of the streams themselves
// are errors.
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	c := &stdio{
		Server: s, session: newSession(), out: &lineWriter{out: out},
		places: semaphore.NewWeighted(maxInFlight), reads: make(chan struct{}, maxReads), inFlight: map[string]*inFlight{},
	}
	if err := s.mcp.RegisterSession(base, c.session); err != nil {
		return fmt.Errorf("stdio: %w", err)
	}
	defer s.mcp.UnregisterSession(base, c.session.SessionID())
	c.base = s.mcp.WithContext(base, c.session)
	notified := make(chan struct{})
	go func() {
		defer close(notified)
		c.forwardNotifications(base)
	}()
	// Not in readAll, which may be busy writing to a host that does not read.
	defer context.AfterFunc(ctx, s.pipeline.Refuse)()
	err := c.readAll(ctx, in)
	end, ended := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer ended()
	// At the end of input what was read before is still done, while there is time.
	defer time.AfterFunc(s.grace/2, s.pipeline.Refuse).Stop()
	c.finish(end, cancel)
	within(notified, lastWords)
	s.drain(end)
	return err
}

// readAll takes messages until the input or ctx ends. The goroutine that reads
// stays behind when ctx ends first: a blocked read of a pipe cannot be undone.
func (c *stdio) readAll(ctx context.Context, in io.Reader) error {
	type message struct {
		line []byte
		err  error
	}
	messages := make(chan message)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		reader := bufio.NewReaderSize(in, 64<<10)
		for {
			line, err := readLine(reader)
			select {
			case messages <- message{line, err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case m := <-messages:
			if line := bytes.TrimSpace(m.line); len(line) > 0 {
				c.take(ctx, line)
			}
			if errors.Is(m.err, io.EOF) {
				return nil
			}
			if m.err != nil {
				c.protocolError(mcp.INVALID_REQUEST, m.err.Error())
				return fmt.Errorf("stdio: reading: %w", m.err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// take sorts one message.
func (c *stdio) take(ctx context.Context, line []byte) {
	var e envelope
	err := json.Unmarshal(line, &e)
	if _, wrongType := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !wrongType {
		c.protocolError(mcp.PARSE_ERROR, "Parse error: the line is not JSON")
		return
	}
	if line[0] != '{' {
		c.protocolError(mcp.INVALID_REQUEST, "Invalid request: one message a line, as a JSON object")
		return
	}
	id := bytes.TrimSpace(e.ID)
	if len(id) > 0 && !isRequestID(id) {
		if e.Method != "" { // what has no method is an answer, and answers get none
			c.protocolError(mcp.INVALID_REQUEST, "Invalid request: an id is a string or a number")
		}
		return
	}
	switch {
	case e.Method == string(mcp.MethodNotificationCancelled):
		c.cancel(e.Params.RequestID)
	case len(id) == 0:
		c.handle(c.base, line)
	case e.Method == string(mcp.MethodInitialize):
		// In line: what follows may rely on the handshake.
		c.answer(c.base, id, line, nil)
	default:
		if c.places.Acquire(ctx, weight(line)) == nil {
			c.begin(id, e.Method, line)
		}
	}
}

// isRequestID tells ids that the protocol allows: JSON strings and numbers.
func isRequestID(id []byte) bool {
	return id[0] == '"' || id[0] == '-' || id[0] >= '0' && id[0] <= '9'
}

func weight(line []byte) int64 { return int64(max(len(line), minWeight)) }

// begin serves a request beside the others.
func (c *stdio) begin(id json.RawMessage, method string, line []byte) {
	ctx, cancel := context.WithCancel(c.base)
	r := &inFlight{cancel: cancel, endless: method == string(mcp.MethodSubscriptionsListen)}
	key := string(id)
	c.mu.Lock()
	c.inFlight[key] = r
	c.mu.Unlock()
	if r.endless {
		c.session.setListen(id)
		c.places.Release(weight(line)) // it waits, which costs nothing
	}
	c.work.Go(func() {
		defer func() {
			cancel()
			c.mu.Lock()
			if c.inFlight[key] == r {
				delete(c.inFlight, key)
			}
			c.mu.Unlock()
			if !r.endless {
				c.places.Release(weight(line))
			}
		}()
		if method == string(mcp.MethodResourcesRead) {
			c.reads <- struct{}{}
			defer func() { <-c.reads }()
		}
		c.answer(ctx, id, line, r)
	})
}

// answer handles a request and writes its response behind all notifications
// that were sent for it. A cancelled request gets none.
func (c *stdio) answer(ctx context.Context, id, line json.RawMessage, r *inFlight) {
	response := c.handle(ctx, line)
	c.flushNotifications(ctx)
	if r != nil {
		c.mu.Lock()
		cancelled := r.cancelled
		c.mu.Unlock()
		if cancelled {
			return
		}
	}
	if response == nil {
		return // an answer to a request of ours, which we never send
	}
	if err := c.out.respond(id, response); err != nil {
		c.log.Warn("answer not written", "error", err)
	}
}

// handle runs the library on a message. A panic becomes an opaque error.
func (c *stdio) handle(ctx context.Context, line json.RawMessage) (response mcp.JSONRPCMessage) {
	defer func() {
		if value := recover(); value != nil {
			reference := c.logPanic("message", value)
			response = mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(mcp.INTERNAL_ERROR, "internal error, reference "+reference, nil)}
		}
	}()
	return c.mcp.HandleMessage(ctx, line)
}

func (c *stdio) cancel(requestID json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.inFlight[string(bytes.TrimSpace(requestID))]; r != nil {
		r.cancelled = true
		r.cancel()
	}
}

func (c *stdio) protocolError(code int, message string) {
	_ = c.out.respond(json.RawMessage("null"), mcp.JSONRPCError{Error: mcp.NewJSONRPCErrorDetails(code, message, nil)})
}

// flushMethod marks a message to ourselves in the stream of notifications.
const flushMethod = "internal/flush"

// flushNotifications returns when everything sent before is written.
func (c *stdio) flushNotifications(ctx context.Context) {
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

func (c *stdio) forwardNotifications(ctx context.Context) {
	for {
		select {
		case n := <-c.session.notifications:
			if n.Method == flushMethod {
				if done, ok := n.Params.AdditionalFields["done"].(chan struct{}); ok {
					close(done)
				}
				continue
			}
			c.session.tag(&n)
			if err := c.out.notify(n); err != nil {
				c.log.Debug("notification not written", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// finish lets requests end until the end of ctx, and ends streams at once.
func (c *stdio) finish(ctx context.Context, cancel context.CancelFunc) {
	c.mu.Lock()
	for _, r := range c.inFlight {
		if r.endless {
			r.cancelled = true
			r.cancel()
		}
	}
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		c.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		c.log.Warn("calls are cut off", "grace", c.grace)
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
