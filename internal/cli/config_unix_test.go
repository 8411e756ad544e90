//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const somebody = 12345 // a user that no machine needs to have

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED here: only root can give files to other users")
	}
}

// sudo keeps HOME on macOS, and images of containers run as root.
func TestConfig_AsRootKeepsTheOwner(t *testing.T) {
	needsRoot(t)
	for _, there := range []bool{true, false} {
		home := t.TempDir()
		require.NoError(t, os.Chown(home, somebody, somebody))
		file := filepath.Join(home, ".cursor", "mcp.json")
		if there {
			require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
			require.NoError(t, os.WriteFile(file, []byte("{}"), 0o640))
			require.NoError(t, os.Chown(file, somebody, somebody+1))
		}
		said, err := command(t, home, nil, "config", "cursor", "--write").CombinedOutput()
		require.NoError(t, err, "%s", said)
		files, err := filepath.Glob(file + "*")
		require.NoError(t, err)
		assert.Len(t, files, map[bool]int{true: 2, false: 1}[there], "with its backup")
		for _, name := range files {
			info, err := os.Stat(name)
			require.NoError(t, err)
			owner := info.Sys().(*syscall.Stat_t)
			assert.EqualValues(t, somebody, owner.Uid, name)
			assert.EqualValues(t, map[bool]int{true: somebody + 1, false: somebody}[there], owner.Gid, name)
			assert.Equal(t, map[bool]os.FileMode{true: 0o640, false: 0o600}[there], info.Mode().Perm())
		}
		info, err := os.Stat(filepath.Dir(file))
		require.NoError(t, err)
		if !there {
			assert.EqualValues(t, somebody, info.Sys().(*syscall.Stat_t).Uid, "the folder that was made")
		}
	}
}

// Who cannot give the file back to its owner leaves it alone.
func TestConfig_RefusesToTakeAFile(t *testing.T) {
	needsRoot(t)
	self, err := os.ReadFile(os.Args[0])
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
	require.NoError(t, os.Chown(filepath.Dir(file), somebody, somebody))
	c := command(t, home, []string{"GOCOVERDIR="}, "config", "cursor", "--write")
	c.Path, c.Dir = program, home
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: somebody}}
	said, err := c.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(said), "belongs to another user")
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
