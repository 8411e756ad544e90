package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"zai-image-mcp/resources"
)

// The library's own HTTP servers read bodies of any size, keep sessions and
// streams without a bound, let one client cancel another's call, lose the last
// notification before a result or send it on another call's stream, end a call
// when its connection ends, and let any web page in. This transport is made of
// net/http and the library's message handler alone.

// HTTP is what serving over HTTP needs.
type HTTP struct {
	Listener     net.Listener
	PublicURL    *url.URL // by which clients reach the server, nil for the listener's address
	SSE          bool     // serve HTTP+SSE too, the transport of protocol 2024-11-05
	Tokens       *Tokens  // nil: everybody who reaches the server is the local owner
	AllowOrigins []string
	Reload       <-chan os.Signal // read the tokens again; may be nil
	Links        *resources.Links
	Limits
}

// Limits keep clients from filling the server up.
type Limits struct {
	Connections int           // open at once; more are closed
	Sessions    int           // open at once
	Streams     int           // open at once: GET, HTTP+SSE and subscriptions
	SessionIdle time.Duration // after which a session is closed
	Heartbeat   time.Duration // between signs of life on a silent stream
	HeaderTime  time.Duration // for a request's head
	BodyTime    time.Duration // for a request's body
	WriteTime   time.Duration // for one message to a client that does not read, and more for a large one
}

// DefaultLimits suit a team on one machine.
func DefaultLimits() Limits {
	return Limits{
		Connections: 8192, Sessions: 4096, Streams: 1024, SessionIdle: time.Hour, Heartbeat: 15 * time.Second,
		HeaderTime: 5 * time.Second, BodyTime: 8 * time.Second, WriteTime: 8 * time.Second,
	}
}

// maxWebReads is how many large answers are made or written at once. Clients
// that do not read hold theirs until the time to write it is over.
const maxWebReads = 32

// web is the server's side of HTTP.
type web struct {
	*Server
	HTTP
	addresses addresses
	sessions  *sessions
	streams   *streams
	requests  *share        // bytes of requests under way
	large     chan struct{} // large bodies being read
	sse       sync.Map      // session id -> *connection
	routes    *http.ServeMux
	refusals  rate.Sometimes // that are logged: anybody can cause them

	mu       sync.Mutex
	work     sync.WaitGroup  // requests that are not answered yet
	stopping context.Context //nolint:containedctx // ends when no new requests and streams are wanted
}

// roomFor bounds the requests under way of a client. Nobody waits for room:
// who has too much under way is told so.
func (h *web) roomFor(client string) room {
	return func(_ context.Context, bytes int) (func(), error) {
		if !h.requests.take(client, bytes) {
			return nil, errManyRequests
		}
		return func() { h.requests.give(client, bytes) }, nil
	}
}

// ofOneOwner is how much of a limit one owner may use, where there are several.
func (c HTTP) ofOneOwner(limit int) int {
	if c.Tokens == nil {
		return limit
	}
	return max(limit/4, 1)
}

// begin counts a request that has to be answered before the program ends. It
// is false when none is taken any more.
func (h *web) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping.Err() != nil {
		return false
	}
	h.work.Add(1)
	return true
}

// ServeOverHTTP serves on the listener until ctx ends, then finishes what is
// under way within the grace. The listener is closed in any case.
func (s *Server) ServeOverHTTP(ctx context.Context, c HTTP) error {
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.reads = newTurns(maxWebReads, maxWebReads/4)
	h, err := s.newWeb(stopping, c)
	if err != nil {
		return errors.Join(err, c.Listener.Close())
	}
	const maxHeader = 64 << 10
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: c.HeaderTime, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader,
		ErrorLog:  slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // of broken connections
		ConnState: limitConnections(c.Connections),
	}
	s.log.InfoContext(ctx, "listening", "address", c.Listener.Addr().String(), "mcp", c.Base()+"/mcp", "sse", c.SSE, "tokens", c.Tokens != nil)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(c.Listener) }()
	go h.keepHouse(stopping)
	go s.pipeline.RunRecovery(ctx)
	select {
	case err = <-failed:
		err = fmt.Errorf("http: %w", err)
	case <-ctx.Done():
	}
	h.shutdown(ctx, srv, stop)
	return err
}

// limitConnections closes new connections while too many are open. A listener
// that does so would hide the connection's type, and with it sendfile.
func limitConnections(limit int) func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if open.Add(1) > int64(limit) {
				c.Close() //nolint:errcheck // nothing was said on it yet
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		case http.StateActive, http.StateIdle:
		}
	}
}

func (s *Server) newWeb(stopping context.Context, c HTTP) (*web, error) {
	address, ok := c.Listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("http: %s is no TCP address", c.Listener.Addr())
	}
	h := &web{
		Server: s, HTTP: c, stopping: stopping,
		addresses: addressesOf(address, c.PublicURL, c.AllowOrigins),
		sessions:  &sessions{mcp: s.mcp, limit: c.Sessions, perOwner: c.ofOneOwner(c.Sessions), idle: c.SessionIdle, byID: map[string]*webSession{}},
		streams:   &streams{limit: c.Streams, perOwner: c.ofOneOwner(c.Streams), open: map[*stream]struct{}{}},
		requests:  newShare(maxInFlight, maxInFlight/4),
		large:     make(chan struct{}, largeBodies),
		refusals:  rate.Sometimes{First: 20, Interval: time.Second},
	}
	h.routes = http.NewServeMux()
	h.routes.HandleFunc("/mcp", h.mcpEndpoint)
	if c.SSE {
		h.routes.HandleFunc("/sse", h.sseEndpoint)
		h.routes.HandleFunc("/message", h.messageEndpoint)
	}
	h.routes.Handle("/images/", &resources.Downloads{Links: c.Links, Owner: h.provenOwner})
	h.routes.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	h.routes.HandleFunc("/readyz", h.ready)
	if metrics := s.telemetry.Handler(); metrics != nil {
		h.routes.Handle("/metrics", metrics)
	}
	return h, errors.Join(
		s.telemetry.gauge("zai_image_sessions", "Sessions over Streamable HTTP.", h.sessions.count),
		s.telemetry.gauge("zai_image_streams", "Open streams of GET, HTTP+SSE and subscriptions.", h.streams.count),
	)
}

// provenOwner is the owner by token. Without tokens a link is the only proof.
func (h *web) provenOwner(ctx context.Context) (string, bool) { return ownerOf(ctx), h.Tokens != nil }

// keepHouse closes what is idle, and looks whether the tokens were changed.
func (h *web) keepHouse(ctx context.Context) {
	const every = time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := ""
	for {
		reload := false
		select {
		case <-ctx.Done():
			return
		case <-h.Reload:
			reload = true
		case <-tick.C:
		}
		if h.Tokens != nil {
			changed, err := h.Tokens.refresh(reload)
			switch {
			case err == nil && changed:
				h.log.InfoContext(ctx, "tokens read")
				h.streams.end(func(s *stream) bool { return !h.Tokens.valid(s.caller.token) })
			case err != nil && err.Error() != last:
				h.log.ErrorContext(ctx, "tokens not read, the ones before stay", "error", err)
			}
			last = fmt.Sprint(err)
		}
		h.sessions.sweep(h.now(), func(token tokenDigest) bool { return h.Tokens == nil || h.Tokens.valid(token) })
	}
}

// shutdown takes no new connections, lets calls end or hand over what they
// wait for, and then ends what is left.
func (h *web) shutdown(ctx context.Context, srv *http.Server, stop context.CancelFunc) {
	end, cancel := h.ending(ctx)
	defer cancel()
	h.log.InfoContext(ctx, "ending", "grace", h.grace)
	h.pipeline.StopAccepting()
	h.mu.Lock()
	stop() // takes no new requests, and ends streams that would never end by themselves
	h.mu.Unlock()
	h.streams.close()
	h.sse.Range(func(_, value any) bool {
		if c, ok := value.(*connection); ok {
			c.session.calls.endStreams()
		}
		return true
	})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = srv.Shutdown(end) // ends with the answers below, or is cut off
	}()
	h.waitForCalls(end)
	h.streams.end(func(*stream) bool { return true })
	within(closed, lastWords)
	_ = srv.Close() // what is still open is cut off
	h.drain(end)
}

// waitForCalls waits until everything asked for is answered.
func (h *web) waitForCalls(end context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.work.Wait()
		h.sse.Range(func(_, value any) bool {
			if c, ok := value.(*connection); ok {
				c.work.Wait()
			}
			return true
		})
	}()
	select {
	case <-done:
	case <-end.Done():
		h.log.Warn("calls are cut off", "grace", h.grace)
	}
}
