package testrig

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// PostgresVariable names the URL of a PostgreSQL server for tests, which create and drop
// databases of their own on it.
const PostgresVariable = "ZAI_TEST_POSTGRES"

// Postgres returns the URL of a new, empty database, which is dropped at the end of the
// test. It skips the test if no server is set.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(PostgresVariable)
	if server == "" {
		t.Skip("NOT TESTED: " + PostgresVariable + " does not name a PostgreSQL server")
	}
	address, err := url.Parse(server)
	require.NoError(t, err)
	name := "zai_test_" + strings.ToLower(rand.Text())
	PostgresExec(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		// The context of the test has ended, and the server may be starting again.
		assert.Eventually(t, func() bool { return postgresExec(server, "DROP DATABASE "+name+" WITH (FORCE)") == nil },
			30*time.Second, 100*time.Millisecond, "dropping the database")
	})
	address.Path = "/" + name
	return address.String()
}

// PostgresExec runs statements on a database.
func PostgresExec(t testing.TB, database, statements string) {
	t.Helper()
	require.NoError(t, postgresExec(database, statements))
}

func postgresExec(database, statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statements)
	return err
}

// PostgresServer is a server of one test, which can crash.
type PostgresServer struct {
	URL string

	t   testing.TB
	dir string
}

// StartPostgres starts a server with .ci/postgres.sh. It stops at the end of the test.
// StartPostgres skips the test if PostgresVariable is not set.
func StartPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	if os.Getenv(PostgresVariable) == "" {
		t.Skip("NOT TESTED: " + PostgresVariable + " is not set")
	}
	dir, err := os.MkdirTemp("", "zai-postgres-") //nolint:usetesting // another user cannot enter t.TempDir
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	s := &PostgresServer{t: t, dir: dir}
	t.Cleanup(func() {
		s.run("stop")
		assert.NoError(t, os.RemoveAll(dir))
	})
	s.URL = strings.TrimSpace(s.run("start"))
	return s
}

// Crash stops the server without a checkpoint and starts it again.
func (s *PostgresServer) Crash() { s.run("restart") }

func (s *PostgresServer) run(action string) string {
	s.t.Helper()
	root, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	require.NoError(s.t, err)
	script := filepath.Join(strings.TrimSpace(string(root)), ".ci", "postgres.sh")
	c := exec.CommandContext(context.Background(), script, action, s.dir)
	var errors strings.Builder
	c.Stderr = &errors
	out, err := c.Output()
	require.NoError(s.t, err, errors.String())
	return string(out)
}
