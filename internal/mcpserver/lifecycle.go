package mcpserver

import (
	"context"
	"io"
	"time"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/transport"
)

// ServeStdio serves one client until its input or ctx ends, then finishes the
// requests in flight within the grace period. Only a failure of the streams
// themselves is an error.
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	host, err := transport.OpenStdio(ctx, s, in, out, s.log)
	if err != nil {
		return err
	}
	go s.Run(ctx)
	// Not after Read, which may be blocked by a host that does not read.
	defer context.AfterFunc(ctx, s.StopAccepting)()
	err = host.Read(ctx)
	end, cancel := s.Ending(ctx)
	defer cancel()
	// At the end of input, requests that were read before are still served, while
	// there is time.
	defer time.AfterFunc(s.grace/2, s.StopAccepting).Stop()
	host.Finish(end)
	s.Drain(end)
	return err
}

// Run resumes images that dead processes left behind until ctx ends.
func (s *Server) Run(ctx context.Context) { s.pipeline.RunRecovery(ctx) }

// Recover resumes the images that dead processes left behind, once and without
// waiting for them. Run does this, too.
func (s *Server) Recover(ctx context.Context) error {
	if !s.library.Exists() {
		return nil
	}
	_, err := s.pipeline.Recover(ctx, false)
	return err
}

// Ready fails if images cannot be listed or saved.
func (s *Server) Ready(ctx context.Context) error { return s.library.Reachable(ctx) }

// StopAccepting accepts no new work; calls whose request was not sent yet fail.
func (s *Server) StopAccepting() { s.pipeline.StopAccepting() }

// Ending returns a context that ends with the grace period. Shortly before,
// calls that still wait return the ids of their images.
func (s *Server) Ending(ctx context.Context) (context.Context, context.CancelFunc) {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	const most = time.Second
	timer := time.AfterFunc(s.grace-min(s.grace/10, most), s.pipeline.Detach)
	return end, func() {
		timer.Stop()
		cancel()
	}
}

// Drain accepts no new work, lets paid work finish until ctx ends, and sends
// the remaining telemetry.
func (s *Server) Drain(ctx context.Context) {
	if err := s.pipeline.Drain(ctx); err != nil {
		s.log.Error("failed to finish paid work in time", "error", err)
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit.FlushTimeout)
	defer cancel()
	if err := s.telemetry.Close(flush); err != nil {
		s.log.Warn("failed to send telemetry", "error", err)
	}
}

// Close accepts no new work and lets paid work finish within the grace period.
func (s *Server) Close() {
	ctx, cancel := s.Ending(context.Background())
	defer cancel()
	s.Drain(ctx)
}
