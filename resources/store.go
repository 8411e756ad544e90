package resources

import (
	"context"
	"io"
	"time"
)

// Store keeps files under names with slashes. Implementations are in the packages
// folder and bucket; the suite in package storetest holds for both. All methods are
// safe for concurrent use, also by several processes.
//
// Errors that mean that the store cannot be used match ErrStorage. A missing file is
// reported as an error that matches ErrCorrupt and fs.ErrNotExist. Errors never
// contain the words of a prompt, which are part of the names.
type Store interface {
	// Put writes a file atomically: its name refers to the whole content or to what
	// it referred to before. If another file has the name, Put replaces it, or fails
	// with ErrExists. When Put returns, the file survives a power cut. Put returns
	// the SHA-256 of the content in hex and its size. Errors of r are returned
	// unchanged.
	Put(ctx context.Context, name string, r io.Reader) (sha string, size int64, err error)
	// Open opens a file for reading from its beginning. ctx ends its reads too.
	Open(ctx context.Context, name string) (File, error)
	// Stat describes a file.
	Stat(ctx context.Context, name string) (FileInfo, error)
	// Delete deletes a file. It succeeds if the file does not exist.
	Delete(ctx context.Context, name string) error
	// Quarantine moves a file out of the way of Walk, to the folder Quarantined, so
	// that a person can look at it.
	Quarantine(ctx context.Context, name string) error
	// Walk returns the store's image files, and what else Check reports.
	Walk(ctx context.Context) (Listing, error)
	// List calls visit for every file whose name begins with prefix, in no order, and stops
	// with the error of visit. Files that are being written are left out, but not those
	// that dead processes left. visit may call the store.
	List(ctx context.Context, prefix string, visit func(StoredFile) error) error
	// Prepare fails if a file with this name could not be saved now. "" stands for
	// any name.
	Prepare(ctx context.Context, name string) error
	// Present fails if the store does not exist. Other methods create it.
	Present(ctx context.Context) error
	// Ping fails if the store does not respond.
	Ping(ctx context.Context) error
	// Path returns the path of a file on this machine, "" if the store is elsewhere.
	Path(name string) string
	// Name returns the folder or the address of the store for people, without
	// secrets.
	Name() string
	Close() error
}

// Presigner is a Store that can make links to its files which anyone can use until
// they expire.
type Presigner interface {
	// Presign returns a link and the time at which it expires, which is earlier than
	// requested if the store's credentials expire before.
	Presign(ctx context.Context, name string, p Presign) (url string, expires time.Time, err error)
}

// Presign describes a presigned link: how long it is valid, and the headers that the
// service sends with the file.
type Presign struct {
	Lifetime                                      time.Duration
	ContentType, ContentDisposition, CacheControl string
}

// filesAtOnce is the number of files that are checked or copied at a time. With a store
// on a network, most of the time is spent waiting for responses.
const filesAtOnce = 8

// Quarantined is the folder of files that differ from what was saved.
const Quarantined = ".damaged"

// File is an open file of a Store.
type File interface {
	io.ReadSeekCloser
	Info() (FileInfo, error) // of the content that is read, even if the file was replaced meanwhile
}

// FileInfo describes a file of a Store.
type FileInfo struct {
	Size    int64
	Version string // changes when the content may have changed
	SHA256  string // of the content in hex, "" if the store does not know it
}

// StoredFile is a file that Store.List found.
type StoredFile struct {
	Name     string
	Size     int64
	Modified time.Time
}

// Listing is the result of Store.Walk.
type Listing struct {
	Files      map[string]string // image ids by file name
	Temporary  []string          // partial files of dead processes
	Unreadable []string          // folders of images that may not be read
}
