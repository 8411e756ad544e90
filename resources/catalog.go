package resources

import (
	"context"
	"database/sql"
	_ "embed" // schema.sql
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed schema.sql
var schemaV1 string

// schemaV2 adds what the library as a whole has to remember.
const schemaV2 = `CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL)`

// schemaV3 finds equal calls, and tasks whose outcome is unknown. What older versions made counts as delivered.
const schemaV3 = `ALTER TABLE images ADD COLUMN task_id TEXT NOT NULL DEFAULT '';
UPDATE images SET delivered_ms=updated_ms;
CREATE INDEX images_by_call ON images (call_id);
DROP INDEX images_open;
CREATE INDEX images_open ON images (lease_until_ms) WHERE state IN ('queued', 'submitted', 'answered', 'unknown');
CREATE INDEX images_by_join ON images (join_key, created_ms) WHERE delivered_ms=0`

// catalog is the SQLite file. It is opened at its first use, so that a server
// which a host starts only to look at costs neither time nor a file.
//
// Several processes use one file at once: WAL lets readers and a writer work
// side by side, writers wait for one another, and synchronous=FULL makes a
// commit survive a power cut.
type catalog struct {
	path string

	mu     sync.Mutex
	write  *sql.DB // one connection, transactions take the write lock at once
	read   *sql.DB
	byID   *sql.Stmt // selectByID, which is asked most
	closed bool
}

const (
	busyTimeout   = 15 * time.Second
	readers       = 4
	cacheKilobyte = 512 // a connection
)

// open makes or opens the file. A failed opening is tried again at the next
// use: a full disk may be emptied.
func (c *catalog) open(ctx context.Context) (write, read *sql.DB, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, nil, fmt.Errorf("%w: closed", ErrStorage)
	case c.write != nil:
		return c.write, c.read, nil
	}
	if err := c.touch(); err != nil {
		return nil, nil, fmt.Errorf("%w: catalog %s: %w", ErrStorage, c.path, err)
	}
	write, err = c.connect("_txlock=immediate&_pragma=journal_mode(WAL)", 1)
	if err == nil {
		err = migrate(ctx, write)
	}
	if err == nil {
		read, err = c.connect("_pragma=query_only(1)", readers)
	}
	if err == nil {
		c.byID, err = read.PrepareContext(ctx, selectByID)
	}
	if err != nil {
		for _, db := range []*sql.DB{write, read} {
			if db != nil {
				db.Close()
			}
		}
		return nil, nil, fmt.Errorf("%w: catalog %s: %w", ErrStorage, c.path, err)
	}
	c.write, c.read = write, read
	return write, read, nil
}

// touch creates the file with its mode, as SQLite would use the umask.
func (c *catalog) touch() error {
	if err := os.MkdirAll(filepath.Dir(c.path), dirMode); err != nil {
		return err
	}
	f, err := os.OpenFile(c.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (c *catalog) connect(parameters string, connections int) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(c.path)}
	dsn.RawQuery = fmt.Sprintf("_pragma=busy_timeout(%d)&%s&_pragma=synchronous(FULL)&_pragma=cache_size(-%d)",
		busyTimeout.Milliseconds(), parameters, cacheKilobyte)
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// migrate brings the schema to the version of this program. Processes that
// start together wait for one another inside the transaction; only the switch
// to WAL is not covered by the busy timeout.
func migrate(ctx context.Context, db *sql.DB) error {
	deadline := time.Now().Add(busyTimeout)
	for {
		err := migrateOnce(ctx, db)
		if !isBusy(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func migrateOnce(ctx context.Context, db *sql.DB) error {
	steps := []string{schemaV1, schemaV2, schemaV3}
	newest := len(steps)
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version == newest {
		return nil
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > newest {
		return fmt.Errorf("made by a newer version of this program (schema %d, known is %d)", version, newest)
	}
	for _, step := range steps[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", newest)); err != nil {
		return err
	}
	return tx.Commit()
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// storageError marks failures of the database itself.
func storageError(doing string, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrBudget), errors.Is(err, ErrNotFound):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded): // the caller's doing
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrStorage, doing, err)
}

func (c *catalog) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.write == nil {
		return nil
	}
	return errors.Join(c.byID.Close(), c.read.Close(), c.write.Close())
}

// likePattern makes text a literal inside LIKE ... ESCAPE '\'.
func likePattern(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(text) + "%"
}
