//go:build unix

package program_test

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// Control-C at the prompt ends the command without changing the file.
func TestConfig_InterruptedQuestion(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := filepath.Join(home, ".cursor", "mcp.json")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
	const before = `{"mcpServers":{"zai-image":{"command":"npx"}}}`
	require.NoError(t, os.WriteFile(file, []byte(before), 0o600))
	c := command(t, home, nil, "config", "cursor", "--write")
	terminal := startInTerminal(t, c, 0)
	defer terminal.Close()
	output := bufio.NewReader(terminal)
	for line := ""; !strings.Contains(line, "[y/N]"); {
		b, err := output.ReadByte()
		require.NoError(t, err)
		line += string(b)
	}
	_, err := terminal.WriteString("\x03")
	require.NoError(t, err)
	require.Error(t, c.Wait())
	assert.Equal(t, 1, c.ProcessState.ExitCode())
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.True(t, bytes.Equal([]byte(before), after), "%s", after)
}

// A user who may not restore the file's owner must not replace the file.
func TestConfig_KeepsFilesOfOtherUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED here: only root can run as another user")
	}
	const otherUser = 12345 // no such user is needed
	self, err := os.ReadFile(testrig.Program(t))
	require.NoError(t, err)
	home, err := os.MkdirTemp("", "home") //nolint:usetesting // t.TempDir is closed to other users
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(home) })
	require.NoError(t, os.Chmod(home, 0o755))
	program := filepath.Join(home, "zai-image-mcp")
	require.NoError(t, os.WriteFile(program, self, 0o755))
	file := filepath.Join(home, ".cursor", "mcp.json")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("{}"), 0o644))
	require.NoError(t, os.Chown(filepath.Dir(file), otherUser, otherUser))
	c := command(t, home, nil, "config", "cursor", "--write")
	c.Path, c.Dir = program, home
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: otherUser, Gid: otherUser}}
	output, err := c.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(output), "belongs to another user")
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1, "no backup, no temporary file")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "{}", string(text))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Zero(t, info.Sys().(*syscall.Stat_t).Uid)
}
