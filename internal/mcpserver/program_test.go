package mcpserver_test

import (
	"os/exec"
	"testing"

	"zai-image-mcp/internal/testrig"
)

func TestMain(m *testing.M) { testrig.Main(m) }

// program returns a command that runs the real binary with nothing from our own
// environment.
func program(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	return testrig.Command(t, env, args...)
}
