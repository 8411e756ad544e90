package files

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// cost is what a process used.
type cost struct {
	cpu    time.Duration
	memory int64 // most memory resident at a time, in bytes
}

// The test prints what exports by the program cost beside the same work by sharp, start of
// the process included. It has no limits, because the machine may be shared. It is not
// parallel, so that it runs alone.
func TestCost_BesideSharp(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "original.png")
	tool(t, "convert", "-seed", "7", "-size", "1024x1024", "plasma:fractal", "-attenuate", "0.2", "+noise", "Gaussian", "PNG24:"+picture)
	file, err := os.ReadFile(picture)
	require.NoError(t, err)
	h := connect(t, newService(t, file))
	id := h.generate(t, "a plasma", "1024x1024").ID

	program := func(args ...string) *exec.Cmd {
		require.NoError(t, os.RemoveAll(filepath.Join(h.store, ".exports")))
		return testrig.Command(t, []string{"ZAI_IMAGE_STORE=" + h.store}, args...)
	}
	for _, work := range []struct {
		name string
		ours []string
	}{
		{"start", []string{"version"}},
		{"hero", []string{"export", id, "-o", "hero.webp", "--size", "1200x630"}},
		{"favicon", []string{"export", id, "-o", "public", "--set", "favicon"}},
	} {
		ours := measure(t, func() *exec.Cmd { return program(work.ours...) })
		sharp := measure(t, func() *exec.Cmd {
			script, err := filepath.Abs("sharp.cjs")
			require.NoError(t, err)
			return exec.CommandContext(t.Context(), "node", script, picture, work.name)
		})
		t.Logf("%-7s  program %4d ms of CPU, %3d MB   sharp %4d ms, %3d MB   ratio %.2f of CPU, %.2f of memory", work.name,
			ours.cpu.Milliseconds(), ours.memory>>20, sharp.cpu.Milliseconds(), sharp.memory>>20,
			float64(ours.cpu)/float64(sharp.cpu), float64(ours.memory)/float64(sharp.memory))
	}
}

// measure runs a command three times, each time in an empty folder, and returns the least
// cost.
func measure(t *testing.T, command func() *exec.Cmd) cost {
	t.Helper()
	var least cost
	for range 3 {
		c := command()
		c.Dir = t.TempDir()
		// Linux counts the memory of the process that started a process, too. That of time
		// is small.
		report := filepath.Join(t.TempDir(), "memory")
		c.Path, c.Args = "/usr/bin/time", append([]string{"time", "--format=%M", "--output=" + report}, c.Args...)
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%v %s", c.Args, out)
		text, err := os.ReadFile(report)
		require.NoError(t, err)
		kilobytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		require.NoError(t, err)
		now := cost{c.ProcessState.UserTime() + c.ProcessState.SystemTime(), kilobytes << 10}
		if least.cpu == 0 || now.cpu < least.cpu {
			least = now
		}
	}
	return least
}
