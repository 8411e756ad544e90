package server_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if dir := programDir(); dir != "" {
			_ = os.RemoveAll(dir)
		}
		os.Exit(status)
	}))
}

// programDir is where buildProgram puts the binary, which is built once.
var programDir = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "zai-image-mcp")
	if err != nil {
		return ""
	}
	return dir
})

var buildProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programDir(), "zai-image-mcp.exe")
	arguments := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", path}
	if raceEnabled {
		arguments = []string{"build", "-race", "-o", path}
	}
	out, err := exec.CommandContext(context.Background(), "go", append(arguments, "zai-image-mcp")...).CombinedOutput()
	if err != nil {
		_, _ = os.Stderr.Write(out)
	}
	return path, err
})

// program is the real binary, started with nothing from our own environment.
func program(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := buildProgram()
	require.NoError(t, err)
	c := exec.CommandContext(context.Background(), path, args...)
	c.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	c.WaitDelay = 10 * time.Second
	return c
}
