package cli

import (
	"runtime/debug"
	"time"
)

const (
	// settleTime is how long after the start of a server its memory is released: after
	// the first recovery, which uses more of the program than a server that waits.
	settleTime = 5 * time.Second
	// startPercent is the GOGC of the start, which allocates little more than the 4 MB
	// after which the first collection would begin.
	startPercent = 200
)

// releaseStart gives the memory that only the start of a server needed back to the
// system, once the server has been running for a while. stop cancels it.
func releaseStart() (stop func()) {
	percent := debug.SetGCPercent(startPercent)
	timer := time.AfterFunc(settleTime, func() {
		debug.SetGCPercent(percent)
		debug.FreeOSMemory()
		unmapProgram()
	})
	return func() {
		if timer.Stop() {
			debug.SetGCPercent(percent)
		}
	}
}
