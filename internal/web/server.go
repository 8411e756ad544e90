package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/telemetry"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/resources"
)

// realm names the server to clients that have no token.
const realm = "zai-image-mcp"

// App is the MCP server behind the transports.
type App interface {
	transport.Handler
	// CheckQuery fails if the query of an endpoint's URL has a wrong setting.
	CheckQuery(query url.Values) error
	// Generates reports whether a request is a call that generates images.
	Generates(r *transport.Request) bool
	// Ready fails if calls cannot be served.
	Ready(ctx context.Context) error
	// Run works in the background until ctx ends.
	Run(ctx context.Context)
	// StopAccepting takes no new work.
	StopAccepting()
	// Ending returns a context that ends with the grace period.
	Ending(ctx context.Context) (context.Context, context.CancelFunc)
	// Drain lets paid work end until ctx does.
	Drain(ctx context.Context)
}

// Config configures a server.
type Config struct {
	Endpoint
	App       App
	Links     *resources.Links   // of downloads; nil for none
	Library   *resources.Library // of the gallery; nil for no gallery
	Telemetry *telemetry.Telemetry
	Limits    limit.Limits
	Grace     time.Duration    // of App.Ending
	Reload    <-chan os.Signal // reload credentials and quotas; optional
	Quotas    auth.Reloader    // of the owners; nil for none
	// Refused reports whether an owner may not use the server. Nil
	// refuses nobody.
	Refused func(owner string) bool
	Now     func() time.Time
	Log     *slog.Logger
}

// Server serves MCP and downloads over HTTP.
type Server struct {
	Config
	mcp       *transport.HTTP
	admission auth.Authenticator // Auth, without the owners that are refused
	allowed   allowedHosts
	routes    *http.ServeMux
	refusals  rate.Sometimes // limits which refusals are logged: anybody can cause them
}

// New returns a server for the listener of c.
func New(c Config) (*Server, error) {
	address, ok := c.Listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("http: %s is not a TCP address", c.Listener.Addr())
	}
	s := &Server{
		Config:    c,
		admission: c.Auth,
		allowed:   newAllowedHosts(address, c.PublicURL, c.AllowOrigins),
		refusals:  rate.Sometimes{First: 20, Interval: time.Second},
	}
	if c.Refused != nil {
		s.admission = admission{c.Auth, c.Refused}
	}
	s.mcp = transport.NewHTTP(transport.HTTPConfig{
		Handler: c.App, Limits: c.Limits, SeveralOwners: c.authenticates(), Permit: s.permit, BasePath: c.basePath(), RetryAfter: c.Grace, Now: c.Now, Log: c.Log,
	})
	var err error
	if s.routes, err = s.newRoutes(address.Port); err != nil {
		return nil, err
	}
	return s, errors.Join(
		s.Telemetry.Gauge("zai_image_sessions", "Sessions over Streamable HTTP.", s.mcp.Sessions),
		s.Telemetry.Gauge("zai_image_streams", "Open streams of GET, HTTP+SSE and subscriptions.", s.mcp.Streams),
	)
}

// Serve serves until ctx ends, then finishes the requests in flight within the
// grace period. It closes the listener in any case.
func Serve(ctx context.Context, c Config) error {
	s, err := New(c)
	if err != nil {
		return errors.Join(err, c.Listener.Close())
	}
	return s.serve(ctx)
}

func (s *Server) serve(ctx context.Context) error {
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: s.Limits.HeaderTime, IdleTimeout: s.Limits.KeepAlive, MaxHeaderBytes: s.Limits.MaxHeaderBytes,
		ErrorLog:  slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug), // of broken connections
		ConnState: limitConnections(s.Limits.Connections),
	}
	s.Log.InfoContext(ctx, "listening", "address", s.Listener.Addr().String(), "mcp", s.Base()+"/mcp", "sse", s.SSE, "tokens", s.authenticates())
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(s.Listener) }()
	go s.sweepLoop(stopping)
	go s.App.Run(ctx)
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("http: %w", err)
	case <-ctx.Done():
	}
	stop()
	s.shutdown(ctx, srv)
	return err
}

// limitConnections closes new connections while too many are open. A wrapped
// listener would hide the connection's type and so prevent sendfile.
func limitConnections(limit int) func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if open.Add(1) > int64(limit) {
				c.Close() //nolint:errcheck // nothing was sent on it yet
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		case http.StateActive, http.StateIdle:
		}
	}
}

// sweepLoop closes idle sessions and reloads changed credentials and quotas.
func (s *Server) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(s.Limits.SweepInterval)
	defer tick.Stop()
	var lastTokens, lastQuotas string
	for {
		always := false
		select {
		case <-ctx.Done():
			return
		case <-s.Reload:
			always = true
		case <-tick.C:
		}
		if source, ok := s.Auth.(auth.Reloader); ok {
			lastTokens = s.reload(ctx, source, "tokens", always, lastTokens)
		}
		if s.Quotas != nil {
			lastQuotas = s.reload(ctx, s.Quotas, "quotas", always, lastQuotas)
		}
		s.mcp.Sweep(s.admission.Valid)
	}
}

// reload reads a file again if it was changed, or always. It returns the problem as
// text, and does not log one that equals last.
func (s *Server) reload(ctx context.Context, source auth.Reloader, what string, always bool, last string) (problem string) {
	changed, err := source.Reload(always)
	switch {
	case err == nil && changed:
		s.Log.InfoContext(ctx, "reloaded the "+what)
	case err != nil && err.Error() != last:
		s.Log.ErrorContext(ctx, "failed to reload the "+what+", the earlier ones stay in force", "error", err)
	}
	return fmt.Sprint(err)
}

// shutdown accepts no new connections, lets calls end or return the ids of
// their images, and then ends what is left.
func (s *Server) shutdown(ctx context.Context, srv *http.Server) {
	end, cancel := s.App.Ending(ctx)
	defer cancel()
	s.Log.InfoContext(ctx, "ending", "grace", s.Grace)
	s.App.StopAccepting()
	s.mcp.StopAccepting()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = srv.Shutdown(end) // ends with the answers below, or is cut off
	}()
	s.mcp.Finish(end)
	transport.WaitFor(closed, limit.FlushTimeout)
	_ = srv.Close() // cuts off what is still open
	s.App.Drain(end)
}

func (s *Server) logPanic(ctx context.Context, r *http.Request, value any) {
	s.Log.ErrorContext(ctx, "recovered a panic", "where", limit.Clip(r.URL.Path), "reference", rand.Text()[:8], "panic", value, "stack", string(debug.Stack()))
}
