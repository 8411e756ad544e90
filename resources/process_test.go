package resources_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// testProcess runs one test of this binary in a process of its own.
func testProcess(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.count=1")
	c.Env = append(os.Environ(), env...)
	return c
}

func setVersion(t *testing.T, catalog string, version int) {
	t.Helper()
	db, err := sql.Open("sqlite", catalog)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", version))
	require.NoError(t, err)
}
