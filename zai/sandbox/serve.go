package sandbox

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Start serves a sandbox on address until ctx ends, and returns the base URL
// for clients. Port 0 selects a free port.
func Start(ctx context.Context, address string, options Options) (baseURL string, err error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	service := New(options)
	server := &http.Server{Handler: service, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // returns after server.Close
	context.AfterFunc(ctx, func() {
		service.Close()
		_ = server.Close()
	})
	return "http://" + listener.Addr().String() + BasePath, nil
}
