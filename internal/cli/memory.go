package cli

import (
	"runtime/debug"
	"time"
)

const (
	// settleTime is how long after its start a server returns memory for the first time:
	// after the first recovery, which uses more of the program than a server that waits.
	settleTime = 3 * time.Second
	// unmapInterval is the time between later returns, that of recoveries.
	unmapInterval = time.Minute
)

// releaseMemory returns memory to the system that an idle server does not need: once
// after the start, and then once a minute. The returned function stops it.
func releaseMemory() (stop func()) {
	done := make(chan struct{})
	go func() {
		timer := time.NewTimer(settleTime)
		defer timer.Stop()
		for first := true; ; first = false {
			select {
			case <-timer.C:
			case <-done:
				return
			}
			if first {
				debug.FreeOSMemory() // the runtime returns what is freed later
			}
			unmapProgram()
			timer.Reset(unmapInterval)
		}
	}()
	return func() { close(done) }
}
