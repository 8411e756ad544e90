package sqlite

import (
	"context"
	"errors"
	"fmt"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"zai-image-mcp/resources"
)

// storageError turns an error of the database during an action into a StorageError.
// Errors of a context only get the action as their prefix; errors of package resources
// are returned unchanged.
func (c *Catalog) storageError(action string, err error) error {
	var storage *resources.StorageError
	switch {
	case err == nil, errors.Is(err, resources.ErrNotFound), errors.As(err, &storage):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded): // not an error of the catalog
		return fmt.Errorf("%s: %w", action, err)
	}
	if database, ok := errors.AsType[*sqlite.Error](err); ok {
		err = &databaseError{err, database, c.path}
	}
	return &resources.StorageError{Part: "catalog", Path: c.path, Err: fmt.Errorf("%s: %w", action, err)}
}

// databaseError is an error of SQLite. It implements resources.Explained.
type databaseError struct {
	error
	database *sqlite.Error
	path     string
}

// Unwrap returns the error of the driver.
func (e *databaseError) Unwrap() error { return e.error }

// Reason returns the words of SQLite.
func (e *databaseError) Reason() string { return e.database.Error() }

// Advice implements resources.Explained.
func (e *databaseError) Advice(place string) string {
	switch e.database.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return "Ask the user to free space on the disk of the " + place + ", then call again."
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return "Ask the user to stop the programs that use the library, to move " + e.path +
			" away, and to run `zai-image-mcp images reindex`, which builds a new catalog from the image files."
	case sqlite3.SQLITE_BUSY:
		return "Another program holds the " + place + "; call again in a minute."
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return "Ask the user to make the " + place + " writable for this program, or to choose another folder with --store, then call again."
	}
	return "Ask the user to check the " + place + ", then call again."
}

// isBusy reports whether another connection holds the file.
func isBusy(err error) bool {
	database, ok := errors.AsType[*sqlite.Error](err)
	return ok && database.Code()&0xff == sqlite3.SQLITE_BUSY
}
