package resources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// StorageError means that a part of the library cannot be used. It matches
// ErrStorage.
type StorageError struct {
	Part string // "folder", "bucket", "file" or "catalog"
	Path string // that of a file lacks the words of the prompt, so that it can be logged
	Err  error
}

// Error implements error.
func (e *StorageError) Error() string {
	return fmt.Sprintf("%v: %s %s: %v", ErrStorage, e.Part, e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }

// Is reports whether target is ErrStorage.
func (e *StorageError) Is(target error) bool { return target == ErrStorage }

// Explained is an error of a store or a catalog that knows what its users can do
// about it.
type Explained interface {
	error
	Reason() string             // what is wrong, without paths, addresses and secrets
	Advice(place string) string // one sentence for an agent; place is the part and its path
}

// Reason returns the error of the operating system or the database, without paths.
func (e *StorageError) Reason() string {
	var (
		explained Explained
		number    syscall.Errno
	)
	switch {
	case errors.As(e.Err, &explained):
		return explained.Reason()
	case errors.Is(e.Err, ErrGone), errors.Is(e.Err, ErrNoSpace), errors.Is(e.Err, ErrReadOnly):
		return e.Err.Error()
	case errors.As(e.Err, &number):
		return number.Error()
	}
	return WithoutPath(e.Err).Error()
}

// Advice returns one sentence for an agent on what the user can do about the error.
func (e *StorageError) Advice() string {
	place := e.Part + " " + e.Path
	var explained Explained
	switch {
	case errors.As(e.Err, &explained):
		return explained.Advice(place)
	case errors.Is(e.Err, ErrGone):
		return "Ask the user to put the " + place + " back, or to create an empty folder there, then call again."
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, ErrNoSpace):
		return "Ask the user to free space on the disk of the " + place + ", then call again."
	case isEscape(e.Err):
		return "Ask the user to replace the symbolic link in the " + place + " with a real folder, or to set --store to the folder that it leads to."
	case errors.Is(e.Err, ErrReadOnly), errors.Is(e.Err, syscall.EROFS), errors.Is(e.Err, fs.ErrPermission):
		return "Ask the user to make the " + place + " writable for this program, or to choose another folder with --store, then call again."
	}
	return "Ask the user to check the " + place + ", then call again."
}

// Causes of a StorageError that the operating system has no error for.
var (
	ErrGone     = errors.New("it was moved or deleted, or its disk is not mounted")
	ErrNoSpace  = errors.New("not enough free space for an image")
	ErrReadOnly = errors.New("it is read-only")
)

// MissingFile returns the error of a Store for a file that does not exist.
func MissingFile(name string) error {
	return fmt.Errorf("%w: %s is missing: %w", ErrCorrupt, RedactName(name), fs.ErrNotExist)
}

// readError returns err, an error of reading a file of a Store, as a StorageError.
// Errors of a context and StorageErrors are returned unchanged.
func readError(name string, err error) error {
	var storage *StorageError
	if err == nil || errors.As(err, &storage) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &StorageError{"file", RedactName(name), WithoutPath(err)}
}

// isEscape reports whether os.Root refused a path that leads out of it. The os
// package exports no error for that.
func isEscape(err error) bool {
	return err != nil && strings.Contains(err.Error(), "path escapes from parent")
}

// WithoutPath removes the path from an error of the os package, because a file's
// name contains words of the prompt.
func WithoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}
