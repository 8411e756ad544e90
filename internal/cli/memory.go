package cli

import (
	"runtime/debug"
	"time"
)

const (
	// settleTime is how long after the start of a server its memory is released: after
	// the first recovery, which uses more of the program than a server that waits.
	settleTime = 3 * time.Second
	// unmapInterval is the time between later releases, that of recoveries.
	unmapInterval = time.Minute
)

// releaseMemory gives memory that a waiting server does not need back to the system: that
// of the start, and again and again what little work needed. stop ends it.
func releaseMemory() (stop func()) {
	done := make(chan struct{})
	go func() {
		timer := time.NewTimer(settleTime)
		defer timer.Stop()
		for settled := false; ; settled = true {
			select {
			case <-timer.C:
			case <-done:
				return
			}
			if !settled {
				debug.FreeOSMemory() // later on, the runtime returns it by itself
			}
			unmapProgram()
			timer.Reset(unmapInterval)
		}
	}()
	return func() { close(done) }
}
