package testrig

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
)

// LibraryOptions configure Library. Libraries with the same folder are those of several
// processes on one library.
type LibraryOptions struct {
	Folder  string // see PlaceOf
	Catalog string // of a local library; default ".catalog.db" in Folder
	Now     func() time.Time
	Random  io.Reader
	Log     *slog.Logger
}

// Library returns a new library, unless the options name a folder. The functions change
// the options.
func Library(t testing.TB, configure ...func(*LibraryOptions)) *resources.Library {
	t.Helper()
	o := LibraryOptions{Folder: t.TempDir(), Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)}
	for _, f := range configure {
		f(&o)
	}
	library := NewLibrary(t, o)
	t.Cleanup(func() { assert.NoError(t, library.Close()) })
	return library
}

// Rig is a pipeline with its service.
type Rig struct {
	*jobs.Pipeline
	API    *Service
	Folder string // by which tests identify the library; see PlaceOf
}

// Options configure Pipeline.
type Options struct {
	API  *Service             // nil: API(t)
	Jobs func(c *jobs.Config) // changes the configuration; may be nil
}

// Pipeline starts a pipeline on a library of its own, without a budget limit and
// with at most 5 requests of a model in flight. At the end of the test it waits for
// the work of the pipeline.
func Pipeline(t testing.TB, o Options) *Rig {
	t.Helper()
	r := &Rig{API: o.API, Folder: t.TempDir()}
	if r.API == nil {
		r.API = API(t)
	}
	c := jobs.Config{
		Client: r.API.Client, Library: Library(t, func(o *LibraryOptions) { o.Folder = r.Folder }),
		Process: rand.Text(), MaxConcurrent: 5, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
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
