// Package sqlite keeps a catalog in an SQLite file. Several processes on one machine
// can use the file at once.
package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/sqlcatalog"
)

// Options configure a Catalog.
type Options struct {
	Path string           // of the file; its folder also gets the folder .processes
	Now  func() time.Time // clock of leases and UTC days
	Log  *slog.Logger
	// Watch is the shortest time between two looks of Watch for changes; 200 ms if zero.
	Watch time.Duration
	// NetworkFileSystem replaces the function of that name; nil keeps it.
	NetworkFileSystem func(dir string) (kind string, network bool)
	// Driver is the name of the database/sql driver; "" for that of modernc.org/sqlite.
	Driver string
}

// Catalog is an SQLite file. It is opened at first use, so a server that a host
// starts only to list its tools creates no file and does not wait for one.
//
// Several processes on one machine can use the file at once: in WAL mode, readers
// and one writer run concurrently, and writers wait for each other.
// synchronous=FULL makes a commit survive a power cut. On a network file system,
// where WAL does not work, the rollback journal is used.
type Catalog struct {
	*sqlcatalog.Catalog

	path      string
	now       func() time.Time
	log       *slog.Logger
	watch     time.Duration
	isNetwork func(dir string) (kind string, network bool)
	driver    string

	mu       sync.Mutex
	db       *handles
	file     os.FileInfo // of the opened file
	closed   bool
	liveness *liveness
}

var _ resources.Catalog = (*Catalog)(nil)

// New returns the catalog in a file. It does no I/O.
func New(o Options) *Catalog {
	const watchInterval = 200 * time.Millisecond
	c := &Catalog{
		path: o.Path, now: o.Now, log: o.Log, watch: o.Watch, isNetwork: o.NetworkFileSystem, driver: o.Driver,
		liveness: newLiveness(filepath.Join(filepath.Dir(o.Path), ".processes")),
	}
	if c.watch <= 0 {
		c.watch = watchInterval
	}
	if c.isNetwork == nil {
		c.isNetwork = networkFileSystem
	}
	if c.driver == "" {
		c.driver = "sqlite"
	}
	c.Catalog = sqlcatalog.New(engine{c}, o.Log)
	return c
}

// Exists reports whether the file exists. Other methods create it.
func (c *Catalog) Exists() bool {
	_, err := os.Stat(c.path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Ready implements resources.Catalog.
func (c *Catalog) Ready(ctx context.Context) error {
	_, err := c.open(ctx)
	return err
}

// Writable implements resources.Catalog.
func (c *Catalog) Writable(ctx context.Context) error {
	_, err := c.writer(ctx)
	return err
}

// Name returns the path of the file.
func (c *Catalog) Name() string { return c.path }

// Verify checks the structure of the file. It uses a new connection, because a
// connection that has run a search may have a stale view of the search index.
func (c *Catalog) Verify(ctx context.Context) (defect string, err error) {
	opened, err := c.open(ctx)
	if err != nil {
		return "", err
	}
	db, err := c.connect(opened.readOnly, 1)
	if err != nil {
		return "", c.storageError("checking the catalog", err)
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&defect)
	if defect == "ok" {
		defect = ""
	}
	return defect, c.storageError("checking the catalog", err)
}

// Close closes the file and releases the lock of the process.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	err := c.liveness.release()
	if c.db == nil {
		return err
	}
	return errors.Join(err, c.db.close())
}
