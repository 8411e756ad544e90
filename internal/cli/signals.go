package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// endOnHangUp returns a context that also ends at SIGHUP, so that paid work is
// finished when the terminal closes, as it is after SIGTERM. SIGHUP may then
// arrive several times, and the host, which ends too, may send SIGTERM.
// Therefore SIGHUP does not count towards the two signals that end the program
// at once. Under nohup, SIGHUP remains ignored.
func endOnHangUp(ctx context.Context) (context.Context, context.CancelFunc) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {}
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

// hangUps returns a channel that receives SIGHUP until stop is called, even under
// nohup.
func hangUps() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
