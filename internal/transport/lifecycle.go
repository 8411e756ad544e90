package transport

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/limit"
)

var (
	errOverloaded = errors.New("too many requests are under way")
	errEnding     = errors.New("the server is ending")
)

// admitFunc reserves room for a request in flight and may block until wait
// ends. release returns the room.
type admitFunc func(wait context.Context, r *Request) (release func(), err error)

// responder writes the notifications and the response of one request to its
// client.
type responder interface {
	// notify writes a notification that precedes the response.
	notify(n mcp.JSONRPCNotification)
	// heartbeat keeps the connection open while the request is handled.
	heartbeat()
	// respond writes the response.
	respond(id json.RawMessage, response mcp.JSONRPCMessage) error
	// flush sends what is buffered, and fails if the client cannot receive it.
	flush() error
	// finish ends the HTTP response to a request that is not answered.
	finish()
}

// lifecycle handles requests, in the same steps for all transports:
//
//	admit, register its id, wait for a turn (resources/read), handle and relay
//	notifications, unregister, write the response unless it was cancelled, settle
//	the delivery
type lifecycle struct {
	handler   Handler
	admit     admitFunc
	reads     *limit.Queue    // resources/read in progress
	heartbeat time.Duration   // 0 for none
	running   *sync.WaitGroup // handlers at work
	oneStream bool            // all responses share a stream: a request keeps its room until its response is written
	log       *slog.Logger
}

// incoming is a request as its transport received it.
type incoming struct {
	*Request
	session *session
	out     responder
	client  context.Context //nolint:containedctx // ends when nobody can receive the response any more
	wanted  context.Context //nolint:containedctx // ends when the request is no longer wanted; client if nil
}

// begin admits and registers a request. run answers it and returns the
// response, nil if there was none. An error means that the request was not
// taken; wait bounds only the admission.
func (l *lifecycle) begin(wait context.Context, in incoming) (run func() mcp.JSONRPCMessage, err error) {
	release, err := l.admit(wait, in.Request)
	if err != nil {
		response := l.handler.Overloaded(in.Request)
		if response == nil || !errors.Is(err, errOverloaded) {
			return nil, err
		}
		// Written at once: a refused request has no room in which it could wait.
		if in.out.respond(in.ID, response) != nil {
			return nil, err
		}
		return func() mcp.JSONRPCMessage { return nil }, nil
	}
	if in.wanted == nil {
		in.wanted = in.client
	}
	ctx, cancel := context.WithCancel(in.wanted)
	call := l.handler.Begin(in.Request)
	// A cancel takes effect at once, even while notifications wait for a client
	// that does not read: an equal call then gets the images of this one.
	registered := in.session.requests.add(&in.Message, func() {
		cancel()
		call.Cancel()
	})
	if registered == nil {
		cancel()
		call.Cancel()
		return func() mcp.JSONRPCMessage { defer release(); return in.reject(duplicateID()) }, nil
	}
	if l.oneStream {
		release = onSecondCall(release) // after the handler and after the response
	}
	ended := func() {}
	if !registered.isSubscription {
		ended = in.session.expiry.begin()
	}
	p := &pending{lifecycle: l, incoming: in, call: call, registered: registered, cancel: cancel, release: release}
	return func() mcp.JSONRPCMessage {
		defer ended()
		return p.run(ctx)
	}, nil
}

// onSecondCall returns a function that calls f when it is called for the second
// time.
func onSecondCall(f func()) func() {
	var calls atomic.Int32
	return func() {
		if calls.Add(1) == 2 {
			f()
		}
	}
}

// reject answers a request that is not handled. It returns nil, as there is no
// response of the handler.
func (in incoming) reject(response mcp.JSONRPCMessage) mcp.JSONRPCMessage {
	_ = in.out.respond(in.ID, response) // a client that is gone needs no answer
	return nil
}

// pending is a request that was admitted and registered.
type pending struct {
	*lifecycle
	incoming
	call       Call
	registered *inFlight
	cancel     context.CancelFunc
	release    func()
	filter     func(*mcp.JSONRPCNotification) (wanted bool) // nil for no filter
	own        chan mcp.JSONRPCNotification
}

func (p *pending) run(ctx context.Context) mcp.JSONRPCMessage {
	if p.oneStream {
		defer p.release()
	}
	closeSession, err := p.openSession(ctx)
	if err != nil {
		p.end()
		p.call.Cancel()
		p.log.ErrorContext(ctx, "failed to register a subscription", "error", err)
		return p.reject(errorResponse(mcp.INTERNAL_ERROR, "internal error"))
	}
	defer closeSession()
	if p.is(mcp.MethodResourcesRead) {
		done, err := p.reads.Acquire(ctx, p.Client)
		if err != nil {
			p.end()
			p.call.Cancel()
			p.finish()
			return nil
		}
		defer done()
	}
	ctx = WithRequest(ctx, p.Request)
	done := p.handle(ctx)
	response, answered := p.relay(done)
	switch {
	case answered:
		p.unregister()
	case p.is(mcp.MethodResourcesRead):
		<-done // what is read is in memory until then
		p.unregister()
	default:
		p.running.Go(func() {
			<-done
			p.unregister()
		})
	}
	if p.write(ctx, response) {
		p.call.Confirm(context.WithoutCancel(ctx))
	} else {
		p.call.Cancel()
	}
	return response
}

// openSession sets the session of this request, whose notifications precede the
// response. The session of a subscription is registered with the handler.
func (p *pending) openSession(ctx context.Context) (closeSession func(), err error) {
	if p.is(mcp.MethodSubscriptionsListen) {
		s := newSubscription(p.ID, p.session.owner)
		p.Session, p.own, p.filter = s, s.own, s.tag
		return func() { p.handler.CloseSession(ctx, s) }, p.handler.OpenSession(ctx, s)
	}
	buffer := limit.RequestNotifications
	if p.is(mcp.MethodToolsCall) && p.ProgressToken != nil {
		buffer = limit.CallNotifications
	}
	p.own = make(chan mcp.JSONRPCNotification, buffer)
	p.Session = &requestSession{p.session, p.own}
	return func() {}, nil
}

// handle runs the handler in a goroutine, so that the connection of a client
// that hangs up is released before the handler returns.
func (p *pending) handle(ctx context.Context) <-chan mcp.JSONRPCMessage {
	done := make(chan mcp.JSONRPCMessage, 1)
	p.running.Go(func() {
		defer p.release()
		defer p.cancel()
		done <- p.call.Run(ctx)
	})
	return done
}

// unregister frees the id of a request. It is called after all notifications,
// so that the client can cancel the request until then, and before the
// response, so that the client can use the id again once it has read the
// response.
func (p *pending) unregister() { p.session.requests.remove(p.ID, p.registered) }

// end ends a request that is not handled.
func (p *pending) end() {
	p.unregister()
	p.cancel()
	p.release()
}

// relay writes the notifications of a request, and heartbeats, until the
// handler returns the response. answered is false if the client disconnected
// before.
func (p *pending) relay(done <-chan mcp.JSONRPCMessage) (response mcp.JSONRPCMessage, answered bool) {
	var beats <-chan time.Time
	if p.heartbeat > 0 {
		ticker := time.NewTicker(p.heartbeat)
		defer ticker.Stop()
		beats = ticker.C
	}
	for {
		select {
		case n := <-p.own:
			p.notify(n)
		case <-beats:
			p.out.heartbeat()
		case response := <-done:
			p.drain()
			return response, true
		case <-p.client.Done():
			return nil, false
		}
	}
}

// drain writes the notifications that were sent before the response.
func (p *pending) drain() {
	for {
		select {
		case n := <-p.own:
			p.notify(n)
		default:
			return
		}
	}
}

func (p *pending) notify(n mcp.JSONRPCNotification) {
	if p.filter == nil || p.filter(&n) {
		p.out.notify(n)
	}
}

// write writes the response, unless the request was cancelled. It reports
// whether the client received it, as far as the transport can determine.
func (p *pending) write(ctx context.Context, response mcp.JSONRPCMessage) (written bool) {
	if response == nil || p.session.requests.isCancelled(p.registered) {
		p.finish()
		return false
	}
	err := p.out.respond(p.ID, response)
	if err == nil && !p.call.Empty() {
		err = errors.Join(p.out.flush(), p.client.Err())
	}
	if err != nil {
		p.log.InfoContext(ctx, "failed to write a response", "error", err)
	}
	return err == nil
}

// finish ends the HTTP response to a cancelled request, if the client still
// waits.
func (p *pending) finish() {
	if p.client.Err() == nil {
		p.out.finish()
	}
}

// notification passes a notification to the handler.
func (l *lifecycle) notification(ctx context.Context, m Message, session server.ClientSession) {
	r := &Request{Caller: callerFrom(ctx), Message: m, Session: session}
	l.handler.Notify(WithRequest(ctx, r), r)
}
