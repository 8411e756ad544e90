package cli_test

import (
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/cli"
)

// gcPercent returns the current GOGC. It changes it for a moment, so tests that use it
// do not run in parallel.
func gcPercent() int {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent
}

//nolint:paralleltest // the setting is global
func TestReleaseStart(t *testing.T) {
	before := gcPercent()
	synctest.Test(t, func(t *testing.T) {
		stop := cli.ReleaseStart()
		assert.Equal(t, cli.StartPercent, gcPercent())
		time.Sleep(cli.SettleTime)
		synctest.Wait()
		assert.Equal(t, before, gcPercent())
		stop()
		assert.Equal(t, before, gcPercent())

		stop = cli.ReleaseStart()
		stop()
		assert.Equal(t, before, gcPercent(), "the server ended before")
	})
}
