package resources

import (
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
	"strings"
	"sync"
	"time"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// store keeps files below one folder. All access goes through os.Root, so
// neither a name nor a link leads outside. The folder is created at the first
// use. If another folder takes its place while the program runs, such as a
// restored backup, the store uses that one.
type store struct {
	dir     string
	durable bool // files survive a power cut; otherwise they are only never partial
	now     func() time.Time
	free    func(dir string) (bytes uint64, err error)

	mu     sync.Mutex
	root   *os.Root
	opened os.FileInfo     // of root
	synced map[string]bool // folders known to be durable
}

func newStore(dir string, durable bool, now func() time.Time) *store {
	return &store{dir: dir, durable: durable, now: now, free: freeBytes}
}

// open returns the folder at the store's path. In a durable store it fails if
// the folder existed before and is gone: its disk may be unmounted, and images
// written below the mount point would be hidden later.
func (s *store) open() (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.dir)
	switch {
	case err == nil && s.root != nil && os.SameFile(info, s.opened):
		return s.root, nil
	case errors.Is(err, fs.ErrNotExist) && s.opened != nil && s.durable:
		return nil, folderError(s.dir, errGone)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, folderError(s.dir, withoutPath(err))
	}
	if s.root != nil {
		_ = s.root.Close() // the old folder may no longer exist
		s.root = nil
	}
	if err := s.create(); err != nil {
		return nil, folderError(s.dir, withoutPath(err))
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, folderError(s.dir, withoutPath(err))
	}
	if s.opened, err = root.Stat("."); err != nil {
		return nil, errors.Join(folderError(s.dir, withoutPath(err)), root.Close())
	}
	s.root, s.synced = root, map[string]bool{}
	return root, nil
}

// create creates the folder. Only a durable store creates parents: another one is
// inside a folder that must not come back when it is gone.
func (s *store) create() error {
	if s.durable {
		return makeFolder(s.dir)
	}
	return mkdir(s.dir)
}

// mkdir creates a folder in an existing one. An existing folder is no error.
func mkdir(dir string) error {
	if err := os.Mkdir(dir, dirMode); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// makeFolder creates a folder and its parents, and flushes each folder that has a
// new entry, so that all of them survive a power cut.
func makeFolder(dir string) error {
	var changed []string
	for name := filepath.Clean(dir); name != filepath.Dir(name); name = filepath.Dir(name) {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		changed = append(changed, filepath.Dir(name))
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	for _, name := range changed {
		root, err := os.OpenRoot(name)
		if err != nil {
			continue // this user may write there, but not read
		}
		if err := errors.Join(syncDir(root, "."), root.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}

// ping fails if the folder does not respond.
func (s *store) ping() error {
	root, err := s.open()
	if err != nil {
		return err
	}
	if _, err := root.Stat("."); err != nil {
		return folderError(s.dir, withoutPath(err))
	}
	return nil
}

// checkFolder fails if the folder is missing: its disk may be unmounted, or its
// name misspelled. Unlike open, it does not create the folder.
func (s *store) checkFolder() error {
	if info, err := os.Stat(s.dir); err != nil || !info.IsDir() {
		return folderError(s.dir, errGone)
	}
	return nil
}

// path returns the path of a file of the store on this machine.
func (s *store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// sourceError marks an error of the reader that is being saved, to tell it from
// errors of the disk.
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

// save writes a file such that its name refers to the whole content or does not
// exist, in a durable store also after a power cut: it writes a temporary file
// in the same folder, flushes it, renames it, and flushes the folder. It returns
// the SHA-256 and the size of the content. Errors of r are returned unchanged;
// errors of the disk match ErrStorage.
func (s *store) save(name string, r io.Reader) (sha string, size int64, err error) {
	root, err := s.open()
	if err != nil {
		return "", 0, err
	}
	dir, temp := path.Dir(name), path.Join(path.Dir(name), tempPrefix+rand.Text()[:8]+"-"+path.Base(name))
	f, err := s.createFile(root, dir, temp)
	if err != nil {
		return "", 0, folderError(s.path(dir), withoutPath(err))
	}
	sha, size, err = s.write(f, r)
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp) // sweep removes what remains
		if source, ok := errors.AsType[sourceError](err); ok {
			return "", 0, source.error
		}
		return "", 0, folderError(s.path(dir), withoutPath(err))
	}
	if err := s.syncDir(root, dir); err != nil {
		return "", 0, folderError(s.path(dir), withoutPath(err))
	}
	return sha, size, nil
}

// createFile creates a file and, if needed, its folder, which may have been deleted
// since its last use.
func (s *store) createFile(root *os.Root, dir, name string) (f *os.File, err error) {
	for range 2 {
		if err = s.makeDir(root, dir); err != nil {
			return nil, err
		}
		if f, err = root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, err
}

// write copies r to a new file, flushes it in a durable store, and closes it.
func (s *store) write(f *os.File, r io.Reader) (sha string, size int64, err error) {
	defer f.Close()
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, hash), sourceReader{r})
	if err != nil {
		return "", 0, err
	}
	if s.durable {
		if err := f.Sync(); err != nil {
			return "", 0, err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), size, f.Close()
}

// makeDir creates a folder of the store and makes it durable. It does so once
// per process even for an existing folder, which another process may have
// created and not flushed before it died.
func (s *store) makeDir(root *os.Root, dir string) error {
	s.mu.Lock()
	done := s.synced[dir]
	s.mu.Unlock()
	if info, err := root.Stat(dir); done && err == nil && info.IsDir() {
		return nil
	}
	if err := root.MkdirAll(dir, dirMode); err != nil {
		return withoutPath(err)
	}
	for parent := dir; parent != "."; {
		parent = path.Dir(parent)
		if err := s.syncDir(root, parent); err != nil {
			return withoutPath(err)
		}
	}
	s.sweep(root, dir)
	s.mu.Lock()
	s.synced[dir] = true
	s.mu.Unlock()
	return nil
}

const (
	// tempPrefix begins the names of files that are being written.
	tempPrefix = ".tmp-"
	// staleTempAge is the age from which no process writes to a temporary file
	// any more.
	staleTempAge = time.Hour
)

// sweep removes temporary files that dead processes left in a folder.
func (s *store) sweep(root *os.Root, dir string) {
	left, err := fs.Glob(root.FS(), path.Join(dir, tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, name := range left {
		if info, err := root.Lstat(name); err == nil && s.now().Sub(info.ModTime()) > staleTempAge {
			_ = root.Remove(name)
		}
	}
}

func (s *store) syncDir(root *os.Root, name string) error {
	if !s.durable {
		return nil
	}
	return syncDir(root, name)
}

// openFile opens a regular file for reading. A missing file is ErrCorrupt and
// fs.ErrNotExist.
func (s *store) openFile(name string) (*os.File, error) {
	root, err := s.open()
	if err != nil {
		return nil, err
	}
	info, err := root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	var f *os.File
	if err == nil {
		f, err = root.Open(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing: %w", ErrCorrupt, redactName(name), fs.ErrNotExist)
	}
	if err != nil {
		return nil, fileError(name, err)
	}
	return f, nil
}

// exists reports whether a regular file has the name.
func (s *store) exists(name string) bool {
	root, err := s.open()
	if err != nil {
		return false
	}
	info, err := root.Lstat(name)
	return err == nil && info.Mode().IsRegular()
}

// remove deletes a file. A missing file is no error.
func (s *store) remove(name string) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(name, err)
	}
	return nil
}

// damagedDir is the folder for files that differ from what was saved.
const damagedDir = ".damaged"

// quarantine moves a file to damagedDir.
func (s *store) quarantine(name string) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	err = root.MkdirAll(damagedDir, dirMode)
	if err == nil {
		err = root.Rename(name, path.Join(damagedDir, rand.Text()[:8]+"-"+path.Base(name)))
	}
	if err == nil {
		err = errors.Join(s.syncDir(root, damagedDir), s.syncDir(root, path.Dir(name)))
	}
	if err != nil {
		return folderError(s.path(damagedDir), fmt.Errorf("moving a file there: %w", withoutPath(err)))
	}
	return nil
}

// redactName returns a file's name without the words of its prompt, for errors
// and logs.
func redactName(name string) string {
	base := path.Base(name)
	return path.Join(path.Dir(name), "…"+base[strings.LastIndexByte(base, '-')+1:])
}
