package cli_test

import (
	"io"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

// gcPercent is an empty input that notes the percentage at which garbage is collected when it
// is read.
type gcPercent int

func (g *gcPercent) Read([]byte) (int, error) {
	*g = gcPercent(currentGCPercent())
	return 0, io.EOF
}

func currentGCPercent() int {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent
}

// A server collects garbage early, unless GOGC is set.
//
//nolint:paralleltest // the percentage is that of the process
func TestServe_GarbageCollection(t *testing.T) {
	before := currentGCPercent()
	for _, c := range []struct {
		name string
		env  []string
		want int
	}{
		{"default", nil, 75},
		{"GOGC", []string{"GOGC=120"}, before},
	} {
		t.Run(c.name, func(t *testing.T) {
			var during gcPercent
			p := newProcess(t, t.TempDir(), c.env)
			p.Stdin = &during
			_, errs, exit := execute(t, p, "--sandbox")
			assert.Zero(t, exit, errs)
			assert.EqualValues(t, c.want, during)
			assert.Equal(t, before, currentGCPercent(), "after serving")
		})
	}
}
