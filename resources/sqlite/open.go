package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/sqlcatalog"
)

// handles are the open connections to one file.
type handles struct {
	sqlcatalog.DB

	write    *prepared // one connection, whose transactions are immediate; nil if the file is read-only
	readOnly string    // parameters of the connections for reading
}

const (
	busyTimeout       = 15 * time.Second
	listConnections   = sqlcatalog.MaxSearches + 2
	lookupConnections = 2
	cacheKilobyte     = 512 // per connection
	maxJournal        = 64 << 20
)

// open returns the connections, and opens or creates the file first if needed.
// Before each use it compares the file at the path with the opened one; if the
// file was replaced, it opens the new one. The next use retries a failed attempt,
// which may succeed, for example after space on a full disk was freed.
func (c *Catalog) open(ctx context.Context) (*handles, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &resources.StorageError{Part: "catalog", Path: c.path, Err: errors.New("closed")}
	}
	info, err := os.Stat(c.path)
	switch {
	case err == nil && c.db != nil && os.SameFile(info, c.file):
		return c.db, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, &resources.StorageError{Part: "catalog", Path: c.path, Err: resources.WithoutPath(err)}
	case err != nil && c.file != nil:
		if _, err := os.Stat(filepath.Dir(c.path)); err != nil {
			return nil, &resources.StorageError{Part: "folder", Path: filepath.Dir(c.path), Err: resources.ErrGone}
		}
	}
	if c.db != nil {
		c.log.WarnContext(ctx, "reopening the catalog: its file was replaced or deleted", "catalog", c.path)
		_ = errors.Join(c.db.close(), c.liveness.release()) // the old folder may no longer exist
		c.db = nil
	}
	if c.db, err = c.openFile(ctx); err != nil {
		return nil, c.storageError("opening", err)
	}
	if c.file, err = os.Stat(c.path); err != nil {
		return nil, errors.Join(&resources.StorageError{Part: "catalog", Path: c.path, Err: resources.WithoutPath(err)}, c.db.close())
	}
	return c.db, nil
}

// openFile opens the file at the path, read-only if it cannot be written.
func (c *Catalog) openFile(ctx context.Context) (*handles, error) {
	if err := c.createFile(); err != nil {
		if _, missing := os.Stat(c.path); missing == nil && isReadOnly(err) {
			return c.openReadOnly(ctx)
		}
		return nil, resources.WithoutPath(err)
	}
	journal := "WAL"
	if kind, network := c.isNetwork(filepath.Dir(c.path)); network {
		journal = "DELETE"
		c.liveness.disable()
		c.log.WarnContext(ctx, "opening the catalog on a network file system: use it from one machine only, or put it on a local disk with --catalog",
			"catalog", c.path, "file_system", kind)
	}
	db := &handles{}
	write, err := c.connect("_txlock=immediate&_pragma=journal_mode("+journal+")", 1)
	if err == nil {
		db.write = &prepared{DB: write, statements: map[string]*sql.Stmt{}}
		err = migrate(ctx, write)
	}
	if err == nil {
		err = c.openReaders(ctx, db, "_pragma=query_only(1)")
	}
	if err != nil {
		_ = db.close() // the first error is returned
		return nil, err
	}
	return db, nil
}

// openReadOnly opens a file that this user may not write, such as one on a
// read-only mount. It assumes that no other user writes to the file
// (immutable=1).
func (c *Catalog) openReadOnly(ctx context.Context) (*handles, error) {
	const parameters = "mode=ro&immutable=1"
	c.log.InfoContext(ctx, "opening the catalog read-only: its file cannot be written", "catalog", c.path)
	db := &handles{}
	reader, err := c.connect(parameters, 1)
	if err == nil {
		err = errors.Join(checkVersion(ctx, reader), reader.Close())
	}
	if err == nil {
		err = c.openReaders(ctx, db, parameters)
	}
	if err != nil {
		return nil, errors.Join(err, db.close())
	}
	return db, nil
}

func (c *Catalog) openReaders(ctx context.Context, db *handles, parameters string) (err error) {
	db.readOnly = parameters
	if db.Read, err = c.connect(parameters, listConnections); err != nil {
		return err
	}
	if db.Lookup, err = c.connect(parameters, lookupConnections); err != nil {
		return err
	}
	db.ByID, err = db.Lookup.PrepareContext(ctx, c.RowStatement())
	return err
}

// isReadOnly reports whether err means that this user may not write a file.
func isReadOnly(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission)
}

// writer returns the connection for writes. It fails if the file is read-only.
func (c *Catalog) writer(ctx context.Context) (*prepared, error) {
	db, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if db.write == nil {
		return nil, &resources.StorageError{Part: "catalog", Path: c.path, Err: resources.ErrReadOnly}
	}
	return db.write, nil
}

// createFile creates the file with mode 0600 if it does not exist; SQLite would
// make it readable by other users. It fails if an existing file cannot be written.
func (c *Catalog) createFile() error {
	if err := folder.Make(filepath.Dir(c.path)); err != nil {
		return err
	}
	f, err := os.OpenFile(c.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (c *Catalog) connect(parameters string, connections int) (*sql.DB, error) {
	db, err := sql.Open(c.driver, dataSource(c.path, parameters))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// dataSource returns the SQLite URI of a file (sqlite.org/uri.html). A Windows
// share, //server/share/…, needs two more slashes: SQLite parses the text after
// the first two as the URI's authority. The fullfsync pragmas make macOS flush
// the disk's own cache; other systems ignore them.
func dataSource(path, parameters string) string {
	path = filepath.ToSlash(path)
	if strings.HasPrefix(path, "//") {
		path = "//" + path
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path}
	dsn.RawQuery = fmt.Sprintf("_pragma=busy_timeout(%d)&%s&_pragma=synchronous(FULL)&_pragma=fullfsync(1)&_pragma=checkpoint_fullfsync(1)"+
		"&_pragma=journal_size_limit(%d)&_pragma=cache_size(-%d)", busyTimeout.Milliseconds(), parameters, maxJournal, cacheKilobyte)
	return dsn.String()
}

// close closes the connections after their running queries have ended.
func (h *handles) close() error {
	var all []error
	if h.ByID != nil {
		all = append(all, h.ByID.Close())
	}
	if h.write != nil {
		all = append(all, h.write.Close())
	}
	for _, db := range []*sql.DB{h.Lookup, h.Read} {
		if db != nil {
			all = append(all, db.Close())
		}
	}
	return errors.Join(all...)
}
