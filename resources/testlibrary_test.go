package resources_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/label"
	"zai-image-mcp/resources/sqlite"
)

// putFile writes a file that is named like a saved image, and returns its id and
// name.
func putFile(t testing.TB, l *resources.Library, folder, words string, file []byte) (id, name string) {
	t.Helper()
	id, err := l.NewID()
	require.NoError(t, err)
	name = "2026/11/20/" + words + "-" + id + ".png"
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "2026/11/20"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), file, 0o600))
	return id, name
}

// libraryOptions configure a library in a folder.
type libraryOptions struct {
	Folder  string
	Catalog string // default ".catalog.db" in Folder
	Now     func() time.Time
	Random  io.Reader
	Log     *slog.Logger
	Free    func(dir string) (uint64, error)          // free space of the folder
	Wrap    func(resources.Catalog) resources.Catalog // returns the catalog to use; may be nil

	WrapStore    func(resources.Store) resources.Store // returns the store to use; may be nil
	Label        label.Policy
	ExportsLimit int64
}

// newLibrary returns a library with a folder and a SQLite catalog.
func newLibrary(o libraryOptions) *resources.Library {
	if o.Catalog == "" {
		o.Catalog = filepath.Join(o.Folder, ".catalog.db")
	}
	var catalog resources.Catalog = sqlite.New(sqlite.Options{Path: o.Catalog, Now: o.Now, Log: o.Log})
	if o.Wrap != nil {
		catalog = o.Wrap(catalog)
	}
	var store resources.Store = folder.New(folder.Options{Dir: o.Folder, Durable: true, Now: o.Now, Free: o.Free})
	if o.WrapStore != nil {
		store = o.WrapStore(store)
	}
	return resources.New(resources.Options{
		Store:    store,
		Previews: folder.New(folder.Options{Dir: filepath.Join(filepath.Dir(o.Catalog), ".previews"), Now: o.Now}),
		Exports:  folder.New(folder.Options{Dir: filepath.Join(filepath.Dir(o.Catalog), ".exports"), Now: o.Now}),
		Catalog:  catalog, Label: o.Label, ExportsLimit: o.ExportsLimit,
		Now: o.Now, Random: o.Random, Log: o.Log,
	})
}

// later returns a library whose clock is ahead.
func later(t *testing.T, folder string, ahead time.Duration) *resources.Library {
	t.Helper()
	now := func() time.Time { return time.Now().Add(ahead) }
	l := newLibrary(libraryOptions{Folder: folder, Now: now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// openWith returns a library with these options, of which the rest has defaults. The end
// of the test closes it.
func openWith(t testing.TB, o libraryOptions) *resources.Library {
	t.Helper()
	if o.Folder == "" {
		o.Folder = t.TempDir()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Random = randomReader{}
	l := newLibrary(o)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// open returns a library in a folder. The end of the test closes it.
func open(t testing.TB, folder string) *resources.Library {
	t.Helper()
	l := newLibrary(libraryOptions{Folder: folder, Now: time.Now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// reserveOne reserves one image in a call of its own.
func reserveOne(l *resources.Library, i resources.Image, budget int64) (resources.Image, error) {
	id, err := l.NewID()
	if err != nil {
		return i, err
	}
	i.ID = id
	reserved, err := l.Catalog().Reserve(context.Background(), resources.Reservation{Images: []resources.Image{i}, Count: 1, Budget: budget})
	if err != nil {
		return i, err
	}
	return reserved.New[0], nil
}

// reserve reserves an image in state Submitted.
func reserve(t testing.TB, l *resources.Library, prompt string) resources.Image {
	t.Helper()
	i, err := reserveOne(l, resources.Image{
		Owner: "local", State: resources.Submitted, Model: "m", Prompt: prompt, Size: "40x30", Quality: "hd", CostMicroUSD: 10_000,
	}, 0)
	require.NoError(t, err)
	return i
}

// save reserves and saves an image.
func save(t testing.TB, l *resources.Library, prompt string, file []byte) resources.Image {
	t.Helper()
	i, err := l.Save(context.Background(), reserve(t, l, prompt), resources.Content{
		Reader: bytes.NewReader(file), MIMEType: "image/png", Extension: ".png", Width: 40, Height: 30,
	}, "")
	require.NoError(t, err)
	return i
}

// readError is a reader that always fails.
type readError struct{ err error }

func (r readError) Read([]byte) (int, error) { return 0, r.err }

// randomReader is a source of randomness for ids.
type randomReader struct{}

func (randomReader) Read(b []byte) (int, error) { return rand.Read(b) }

// saveFile reserves and saves an image file.
func saveFile(t testing.TB, l *resources.Library, mime, extension string, file []byte, width, height int) resources.Image {
	t.Helper()
	i, err := l.Save(t.Context(), reserve(t, l, "x"), resources.Content{
		Reader: bytes.NewReader(file), MIMEType: mime, Extension: extension, Width: width, Height: height,
	}, "")
	require.NoError(t, err)
	return i
}

// testProcess returns a command that runs one test of this test binary in a new
// process.
func testProcess(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.count=1")
	c.Env = append(os.Environ(), env...)
	return c
}

// openSQLite opens a catalog without the library.
func openSQLite(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}
