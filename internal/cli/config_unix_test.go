//go:build unix

package cli_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Root often writes the files of other users: sudo keeps HOME on macOS, and
// containers often run as root.
func TestConfig_RootKeepsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED here: only root can give files to other users")
	}
	const otherUser = 12345 // no such user is needed
	for _, exists := range []bool{true, false} {
		home := t.TempDir()
		require.NoError(t, os.Chown(home, otherUser, otherUser))
		file := filepath.Join(home, ".cursor", "mcp.json")
		if exists {
			require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
			require.NoError(t, os.WriteFile(file, []byte("{}"), 0o640))
			require.NoError(t, os.Chown(file, otherUser, otherUser+1))
		}
		out, errs, exit := execute(t, newProcess(t, home, nil), "config", "cursor", "--write")
		require.Zero(t, exit, out+errs)
		files, err := filepath.Glob(file + "*")
		require.NoError(t, err)
		assert.Len(t, files, map[bool]int{true: 2, false: 1}[exists], "the file and its backup")
		for _, name := range files {
			info, err := os.Stat(name)
			require.NoError(t, err)
			owner := info.Sys().(*syscall.Stat_t)
			assert.EqualValues(t, otherUser, owner.Uid, name)
			assert.EqualValues(t, map[bool]int{true: otherUser + 1, false: otherUser}[exists], owner.Gid, name)
			assert.Equal(t, map[bool]os.FileMode{true: 0o640, false: 0o600}[exists], info.Mode().Perm())
		}
		info, err := os.Stat(filepath.Dir(file))
		require.NoError(t, err)
		if !exists {
			assert.EqualValues(t, otherUser, info.Sys().(*syscall.Stat_t).Uid, "the folder that was created")
		}
	}
}
