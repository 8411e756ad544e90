package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/internal/web/gallery"
	"zai-image-mcp/resources"
)

// LocalGallery configures a server that serves only the gallery, to one person on this
// machine.
type LocalGallery struct {
	Listener net.Listener // of ListenLocally
	Library  *resources.Library
	Owner    string
	Key      string // opens the gallery once
	Now      func() time.Time
	Log      *slog.Logger
}

// Address returns the address that opens the gallery once.
func (c LocalGallery) Address() string {
	return "http://" + c.Listener.Addr().String() + gallery.Path + "?key=" + c.Key
}

// ServeGallery serves the gallery until ctx ends. It closes the listener in any case.
func ServeGallery(ctx context.Context, c LocalGallery) error {
	defer c.Listener.Close() //nolint:errcheck // it is closed twice after a regular end
	address, ok := c.Listener.Addr().(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("http: %s is not a TCP address", c.Listener.Addr())
	}
	g, err := gallery.New(gallery.Config{
		Library: c.Library, Local: &gallery.Local{Owner: c.Owner, Key: c.Key}, Port: address.Port,
		Exports: limit.NewQuota(limit.WebExports, limit.WebExports), Now: c.Now, Log: c.Log,
	})
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	mountGallery(routes, g)
	limits := limit.Default()
	srv := &http.Server{
		Handler:           guarded(newAllowedHosts(address, nil, nil), limits, routes),
		ReadHeaderTimeout: limits.HeaderTime, IdleTimeout: limits.KeepAlive, MaxHeaderBytes: limits.MaxHeaderBytes,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(c.Listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("http: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit.FlushTimeout)
	defer cancel()
	_ = srv.Shutdown(end) // what is left is cut off
	return srv.Close()
}

// guarded returns a handler that refuses requests with a foreign Host or Origin.
func guarded(allowed allowedHosts, limits limit.Limits, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setDeadlines(w, r, limits, time.Now())
		w.Header().Set("Cache-Control", "no-store")
		if refusal := allowed.checkHostAndOrigin(r); refusal != "" {
			transport.Reject(w, r, http.StatusForbidden, refusal)
			return
		}
		h.ServeHTTP(w, r)
	})
}
