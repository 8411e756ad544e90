package cli

import (
	"runtime/debug"
	"time"
)

const (
	// settleTime is how long after its start a server returns memory for the first time.
	settleTime = time.Second
	// recoveredTime is how long after that it does so again, because the first recovery
	// uses more of the program than a server that waits.
	recoveredTime = 2 * time.Second
	// unmapInterval is the time between later returns, that of recoveries.
	unmapInterval = time.Minute
)

// releaseMemory returns memory to the system that an idle server does not need: after the
// start, after the first recovery, and then once a minute. The returned function stops it.
func releaseMemory() (stop func()) {
	done := make(chan struct{})
	go func() {
		timer := time.NewTimer(settleTime)
		defer timer.Stop()
		for next := recoveredTime; ; next = unmapInterval {
			select {
			case <-timer.C:
			case <-done:
				return
			}
			if next == recoveredTime {
				debug.FreeOSMemory() // the runtime returns what is freed later
			}
			unmapProgram()
			timer.Reset(next)
		}
	}()
	return func() { close(done) }
}
