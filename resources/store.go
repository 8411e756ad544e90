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

// store keeps files below one folder. Every access goes through os.Root, so
// that neither a name nor a link leads outside. The folder is created at the
// first use. When another folder takes its place while the program runs, such
// as a restored backup, the store follows.
type store struct {
	dir     string
	durable bool // files survive a power cut; else they are only never half written
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

// open returns the folder at the store's path. A folder that was there before
// and is gone is an error in a durable store: its disk may not be mounted, and
// images in a new folder below the mount point would seem lost later.
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
		_ = s.root.Close() // of a folder that is gone
		s.root = nil
	}
	if err := makeFolder(s.dir, s.durable); err != nil {
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

// makeFolder creates a folder and its parents. If durable is set, it flushes the
// folders that got a new name, so that all of them survive a power cut.
func makeFolder(dir string, durable bool) error {
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
		if durable {
			err = syncDir(root, ".")
		}
		if err = errors.Join(err, root.Close()); err != nil {
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

// path is where a file of the store lies on this machine.
func (s *store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// sourceError marks an error as the source's, not the disk's.
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

// minFree is the space that a disk must have before an image is paid for: one
// of the largest size, its preview, and the catalog's journal.
const minFree = 48 << 20

// prepare fails if no file could be saved in a folder of the store now. It
// creates the folder, writes a file there and looks at the free space.
func (s *store) prepare(dir string) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	if err := s.makeDir(root, dir); err != nil {
		return folderError(s.path(dir), err)
	}
	probe := path.Join(dir, tempPrefix+"probe-"+rand.Text())
	if err = root.WriteFile(probe, []byte("probe"), fileMode); err == nil {
		err = root.Remove(probe)
	}
	if err != nil {
		return folderError(s.path(dir), withoutPath(err))
	}
	if free, err := s.free(s.path(dir)); err == nil && free < minFree { // where it cannot be asked, writing has to show it
		return folderError(s.path(dir), errNoSpace)
	}
	return nil
}

// save writes a file so that it is either whole under its name or not there,
// and in a durable store also after a power cut: temporary file beside it,
// fsync, rename, fsync of the folder. It returns the SHA-256 and size of the
// content. Errors of r come back unchanged, those of the disk as ErrStorage.
func (s *store) save(name string, r io.Reader) (sha string, size int64, err error) {
	root, err := s.open()
	if err != nil {
		return "", 0, err
	}
	dir, temp := path.Dir(name), path.Join(path.Dir(name), tempPrefix+rand.Text()[:8]+"-"+path.Base(name))
	f, err := s.create(root, dir, temp)
	if err != nil {
		return "", 0, folderError(s.path(dir), withoutPath(err))
	}
	sha, size, err = s.write(f, r)
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp) // what remains is swept later
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

// create creates a file and, if needed, its folder, which somebody may have
// deleted since it was last used.
func (s *store) create(root *os.Root, dir, name string) (f *os.File, err error) {
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

// write fills a new file and closes it.
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

// makeDir creates a folder and makes it durable, once in the life of the
// process unless somebody deletes it: another process may have created it and
// died before it was durable.
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

// sweep removes what processes that died while writing left in a folder.
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

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".tmp-"

// abandoned is the age at which nobody writes to a temporary file any more.
const staleTempAge = time.Hour

func (s *store) syncDir(root *os.Root, name string) error {
	if !s.durable {
		return nil
	}
	return syncDir(root, name)
}

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
		return nil, fmt.Errorf("%w: %s is gone: %w", ErrCorrupt, redactName(name), fs.ErrNotExist)
	}
	if err != nil {
		return nil, fileError(name, err)
	}
	return f, nil
}

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

// label names a file in errors, which are logged: without the words of its
// prompt.
func redactName(name string) string {
	base := path.Base(name)
	return path.Join(path.Dir(name), "…"+base[strings.LastIndexByte(base, '-')+1:])
}
