package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// endOnHangUp returns a context that also ends at SIGHUP, which a closed
// terminal sends: paid work is then finished as after SIGTERM. A closed
// terminal may send SIGHUP several times, and the host that it ends may add
// SIGTERM, so SIGHUP never counts as the first of the two signals that end the
// program at once. Under nohup SIGHUP stays ignored.
func endOnHangUp(ctx context.Context) (context.Context, context.CancelFunc) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {}
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

// hangUps returns a channel that receives SIGHUP until stop is called, under
// nohup too.
func hangUps() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
