package testrig

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TokenFile writes a tokens file of name:token lines and returns its path.
func TokenFile(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	return path
}

// Listening reads a server's log in JSON until the server listens, and returns the
// address. The rest of the log is discarded.
func Listening(t testing.TB, log io.Reader) (address string) {
	t.Helper()
	var line struct{ Msg, Address string }
	for d := json.NewDecoder(log); line.Msg != "listening"; {
		require.NoError(t, d.Decode(&line))
	}
	go io.Copy(io.Discard, log)
	return line.Address
}
