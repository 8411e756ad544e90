package cli

import (
	"context"
	"os/signal"
	"syscall"
)

// endOnHangUp returns a context that also ends at SIGHUP, which a closed
// terminal sends: paid work is then finished as after SIGTERM. One closed
// terminal may send several of them, and the host that it ends may add a
// SIGTERM, so SIGHUP never counts as the first of the two signals that end the
// program at once. Under nohup SIGHUP stays ignored.
func endOnHangUp(ctx context.Context) (context.Context, context.CancelFunc) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {}
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}
