package testrig

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/sqlite"
)

// LibraryOptions configure Library.
type LibraryOptions struct {
	Folder  string
	Catalog string // default ".catalog.db" in Folder
	Now     func() time.Time
	Random  io.Reader
	Log     *slog.Logger
}

// Library returns a library in a new temporary folder. The functions change the
// options; nil ones are skipped.
func Library(t testing.TB, configure ...func(*LibraryOptions)) *resources.Library {
	t.Helper()
	o := LibraryOptions{Folder: t.TempDir(), Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)}
	for _, f := range configure {
		if f != nil {
			f(&o)
		}
	}
	library := NewLibrary(o)
	t.Cleanup(func() { assert.NoError(t, library.Close()) })
	return library
}

// NewLibrary returns a library with a folder and a SQLite catalog. The caller must
// close it.
func NewLibrary(o LibraryOptions) *resources.Library {
	if o.Catalog == "" {
		o.Catalog = filepath.Join(o.Folder, ".catalog.db")
	}
	return resources.New(resources.Options{
		Store:    folder.New(folder.Options{Dir: o.Folder, Durable: true, Now: o.Now}),
		Previews: folder.New(folder.Options{Dir: filepath.Join(filepath.Dir(o.Catalog), ".previews"), Now: o.Now}),
		Catalog:  sqlite.New(sqlite.Options{Path: o.Catalog, Now: o.Now, Log: o.Log}),
		Now:      o.Now, Random: o.Random, Log: o.Log,
	})
}

// Rig is a pipeline with its service and its library.
type Rig struct {
	*jobs.Pipeline
	API     *Service
	Library *resources.Library
	Folder  string // of the library, "" if Options.Library was set
}

// Options configure Pipeline. With the zero value it starts a service and a
// library of its own.
type Options struct {
	API     *Service             // nil: API(t)
	Library *resources.Library   // nil: Library(t)
	Jobs    func(c *jobs.Config) // changes the configuration; may be nil
	Log     *slog.Logger         // of the pipeline, and of the library if it is nil; nil: no log
}

// Pipeline starts a pipeline without a budget limit that has at most 5 requests
// of a model in flight. At the end of the test it waits for the work of the
// pipeline.
func Pipeline(t testing.TB, o Options) *Rig {
	t.Helper()
	r := &Rig{API: o.API, Library: o.Library}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if r.API == nil {
		r.API = API(t)
	}
	if r.Library == nil {
		r.Folder = t.TempDir()
		r.Library = Library(t, func(l *LibraryOptions) { l.Folder, l.Log = r.Folder, o.Log })
	}
	c := jobs.Config{Client: r.API.Client, Library: r.Library, Process: rand.Text(), MaxConcurrent: 5, Now: time.Now, Log: o.Log}
	if o.Jobs != nil {
		o.Jobs(&c)
	}
	r.Pipeline = jobs.New(c)
	t.Cleanup(func() {
		r.API.Close()                     // ends delays
		_ = r.Drain(context.Background()) // an error means that work was cut off, which a test may intend
	})
	return r
}
