// Package folder stores image files in a folder of this machine.
package folder

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"zai-image-mcp/resources"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// Options configure a Folder.
type Options struct {
	Dir     string           // path of the folder
	Durable bool             // saved files survive a power cut, and not only a crash of the program
	Now     func() time.Time // clock
	// Free returns the disk space in bytes that is available in a folder; nil asks
	// the operating system.
	Free func(dir string) (uint64, error)
}

// Folder keeps files below one folder. All access goes through os.Root, so neither a
// name nor a symbolic link can lead outside. The folder is created at first use. If
// it is replaced while the program runs, for example by a restored backup, Folder
// uses the new folder.
type Folder struct {
	dir     string
	durable bool
	now     func() time.Time
	free    func(dir string) (bytes uint64, err error)

	mu     sync.Mutex
	root   *os.Root
	opened os.FileInfo     // of root
	synced map[string]bool // folders known to be durable
}

var _ resources.Store = (*Folder)(nil)

// New returns a Folder. It does not access the disk.
func New(o Options) *Folder {
	if o.Free == nil {
		o.Free = freeBytes
	}
	return &Folder{dir: o.Dir, durable: o.Durable, now: o.Now, free: o.Free}
}

// Close closes the folder.
func (f *Folder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.root == nil {
		return nil
	}
	return f.root.Close()
}

// Name returns the path of the folder.
func (f *Folder) Name() string { return f.dir }

// Path returns the path of a file. It is absolute if the folder's is.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// sourceError marks an error of the reader that is being saved, to distinguish it
// from errors of the disk.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

type sourceReader struct{ io.Reader }

func (s sourceReader) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = sourceError{err}
	}
	return n, err
}

// Put implements resources.Store. It writes a temporary file in the same folder and
// renames it, which replaces a file of that name. A durable Folder also flushes the
// file before the rename and the folder after it.
func (f *Folder) Put(_ context.Context, name string, r io.Reader) (sha string, size int64, err error) {
	root, err := f.open()
	if err != nil {
		return "", 0, err
	}
	dir, temp := path.Dir(name), path.Join(path.Dir(name), tempPrefix+rand.Text()[:8]+"-"+path.Base(name))
	file, err := f.createFile(root, dir, temp)
	if err != nil {
		return "", 0, folderError(f.Path(dir), err)
	}
	sha, size, err = f.write(file, r)
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp) // if it fails, sweep removes the file later
		if source, ok := errors.AsType[sourceError](err); ok {
			return "", 0, source.error
		}
		return "", 0, folderError(f.Path(dir), err)
	}
	if err := f.syncDir(root, dir); err != nil {
		return "", 0, folderError(f.Path(dir), err)
	}
	return sha, size, nil
}

// createFile creates a file and, if needed, its folder, which may have been deleted
// since its last use.
func (f *Folder) createFile(root *os.Root, dir, name string) (file *os.File, err error) {
	for range 2 {
		if err = f.makeDir(root, dir); err != nil {
			return nil, err
		}
		if file, err = root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode); !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return nil, err
}

// write copies r to a new file, flushes it in a durable Folder, and closes it.
func (f *Folder) write(file *os.File, r io.Reader) (sha string, size int64, err error) {
	defer file.Close()
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(file, hash), sourceReader{r})
	if err != nil {
		return "", 0, err
	}
	if f.durable {
		if err := file.Sync(); err != nil {
			return "", 0, err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), size, file.Close()
}

// file is an open file. It embeds *os.File, so that package net recognizes it and
// the kernel sends it (sendfile).
type file struct {
	*os.File
	name string
}

// Info implements resources.File.
func (f file) Info() (resources.FileInfo, error) {
	info, err := f.Stat()
	if err != nil {
		return resources.FileInfo{}, fileError(f.name, err)
	}
	return describe(info), nil
}

// describe returns the description of a file.
func describe(info os.FileInfo) resources.FileInfo {
	return resources.FileInfo{
		Size: info.Size(), Version: fmt.Sprintf("%s-%d-%d", identity(info), info.Size(), info.ModTime().UnixNano()),
	}
}

// Open implements resources.Store. It opens only regular files.
func (f *Folder) Open(_ context.Context, name string) (resources.File, error) {
	root, err := f.open()
	if err != nil {
		return nil, err
	}
	if _, err := stat(root, name); err != nil {
		return nil, err
	}
	opened, err := root.Open(name)
	if err != nil {
		return nil, fileError(name, err)
	}
	return file{opened, name}, nil
}

// Stat implements resources.Store.
func (f *Folder) Stat(_ context.Context, name string) (resources.FileInfo, error) {
	root, err := f.open()
	if err != nil {
		return resources.FileInfo{}, err
	}
	info, err := stat(root, name)
	if err != nil {
		return resources.FileInfo{}, err
	}
	return describe(info), nil
}

// stat returns the description of a regular file.
func stat(root *os.Root, name string) (os.FileInfo, error) {
	info, err := root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, fileError(name, err)
	}
	return info, nil
}

// Delete implements resources.Store.
func (f *Folder) Delete(_ context.Context, name string) error {
	root, err := f.open()
	if err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(name, err)
	}
	return nil
}

// Quarantine implements resources.Store.
func (f *Folder) Quarantine(_ context.Context, name string) error {
	root, err := f.open()
	if err != nil {
		return err
	}
	if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return fileError(name, err)
	}
	err = root.MkdirAll(resources.Quarantined, dirMode)
	if err == nil {
		err = root.Rename(name, path.Join(resources.Quarantined, rand.Text()[:8]+"-"+path.Base(name)))
	}
	if err == nil {
		err = errors.Join(f.syncDir(root, resources.Quarantined), f.syncDir(root, path.Dir(name)))
	}
	if err != nil {
		return folderError(f.Path(resources.Quarantined), fmt.Errorf("moving a file there: %w", resources.WithoutPath(err)))
	}
	return nil
}

// folderError returns the error of a folder.
func folderError(dir string, err error) error {
	return &resources.StorageError{Part: "folder", Path: dir, Err: resources.WithoutPath(err)}
}

// fileError returns the error of a file. It matches resources.ErrCorrupt if the file
// is missing.
func fileError(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return resources.MissingFile(name)
	}
	return &resources.StorageError{Part: "file", Path: resources.RedactName(name), Err: resources.WithoutPath(err)}
}
