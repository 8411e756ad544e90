package sqlite_test

import (
	"database/sql"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlite"
)

// newCatalog returns the catalog in a folder. The functions change its options.
func newCatalog(folder string, configure ...func(*sqlite.Options)) *sqlite.Catalog {
	o := sqlite.Options{Path: catalogPath(folder), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	for _, f := range configure {
		f(&o)
	}
	return sqlite.New(o)
}

// open is like newCatalog. The end of the test closes the catalog.
func open(t testing.TB, folder string, configure ...func(*sqlite.Options)) *sqlite.Catalog {
	t.Helper()
	c := newCatalog(folder, configure...)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

// at sets the clock of a catalog.
func at(now *time.Time) func(*sqlite.Options) {
	return func(o *sqlite.Options) { o.Now = func() time.Time { return *now } }
}

func catalogPath(folder string) string { return filepath.Join(folder, ".catalog.db") }

// newID returns an id that sorts after all earlier ones.
func newID() string { return strings.ToLower(ulid.Make().String()) }

// reservation describes a call for one image.
func reservation(i resources.Image, lease resources.Lease) resources.Reservation {
	i.ID = newID()
	if i.Owner == "" {
		i.Owner = "local"
	}
	return resources.Reservation{Images: []resources.Image{i}, Count: 1, Lease: lease}
}

// reserve reserves an image in state Submitted.
func reserve(t testing.TB, c *sqlite.Catalog, prompt string) resources.Image {
	t.Helper()
	return reserveFor(t, c, resources.Lease{}, resources.Image{Model: "m", Prompt: prompt, Size: "40x30", Quality: "hd", CostMicroUSD: 10_000})
}

// reserveFor reserves an image with a lease.
func reserveFor(t testing.TB, c *sqlite.Catalog, lease resources.Lease, i resources.Image) resources.Image {
	t.Helper()
	outcome, err := c.Reserve(t.Context(), reservation(i, lease))
	require.NoError(t, err)
	return outcome.New[0]
}

// save reserves an image and records it as saved.
func save(t testing.TB, c *sqlite.Catalog, prompt string) resources.Image {
	t.Helper()
	i := reserve(t, c, prompt)
	i.State, i.Path, i.MIMEType, i.Width, i.Height, i.Bytes, i.SHA256 = resources.Saved, i.ID+".png", "image/png", 40, 30, 1, "00"
	require.NoError(t, c.Record(t.Context(), i, resources.Guard{}))
	return i
}

// claim claims images for a process for half a minute.
func claim(t testing.TB, c *sqlite.Catalog, process string, early bool) []resources.Image {
	t.Helper()
	list, err := c.Claim(t.Context(), resources.Claim{Lease: resources.Lease{Process: process, For: 30 * time.Second}, Limit: 100, Early: early})
	require.NoError(t, err)
	return list
}

// openSQLite opens a catalog without this package.
func openSQLite(t testing.TB, folder string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+catalogPath(folder)+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// testProcess returns a command that runs one test of this test binary in a new
// process.
func testProcess(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.count=1")
	c.Env = append(os.Environ(), env...)
	return c
}
