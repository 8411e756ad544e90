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
// that neither a name nor a link leads outside. The folder is made at the
// first use.
type store struct {
	dir     string
	durable bool // survive a power cut; else only never be half written

	mu     sync.Mutex
	root   *os.Root
	synced map[string]bool // folders known to be durable
}

func (s *store) open() (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != nil {
		return s.root, nil
	}
	if err := os.MkdirAll(s.dir, dirMode); err != nil {
		return nil, fmt.Errorf("%w: folder: %w", ErrStorage, err)
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, fmt.Errorf("%w: folder: %w", ErrStorage, err)
	}
	s.root, s.synced = root, map[string]bool{}
	return root, nil
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

// fromReader marks an error as the source's, not the disk's.
type fromReader struct{ error }

func (e fromReader) Unwrap() error { return e.error }

type source struct{ io.Reader }

func (s source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fromReader{err}
	}
	return n, err
}

// save writes a file so that it is either whole under its name or not there,
// and in a durable store also after a power cut: temporary file beside it, fsync, rename, fsync of the folder. The
// contents are hashed on their way. Errors of r come back as they are, those
// of the disk as ErrStorage.
func (s *store) save(name string, r io.Reader) (sha string, size int64, err error) {
	root, err := s.open()
	if err != nil {
		return "", 0, err
	}
	dir, temp := path.Dir(name), path.Join(path.Dir(name), tempPrefix+rand.Text()[:8]+"-"+path.Base(name))
	if err := s.makeDir(root, dir); err != nil {
		return "", 0, fmt.Errorf("%w: folder %s: %w", ErrStorage, dir, err)
	}
	sha, size, err = s.write(root, temp, r)
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp) // what remains is swept later
		if source, ok := errors.AsType[fromReader](err); ok {
			return "", 0, source.error
		}
		return "", 0, fmt.Errorf("%w: writing %s: %w", ErrStorage, label(name), plain(err))
	}
	if err := s.syncDir(root, dir); err != nil {
		return "", 0, fmt.Errorf("%w: folder %s: %w", ErrStorage, dir, err)
	}
	return sha, size, nil
}

func (s *store) write(root *os.Root, name string, r io.Reader) (sha string, size int64, err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, hash), source{r})
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

// makeDir makes a folder durable, once in the life of the process: another
// process may have made it and died before it was.
func (s *store) makeDir(root *os.Root, dir string) error {
	s.mu.Lock()
	done := s.synced[dir]
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := root.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	for parent := dir; parent != "."; {
		parent = path.Dir(parent)
		if err := s.syncDir(root, parent); err != nil {
			return err
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
		if info, err := root.Lstat(name); err == nil && time.Since(info.ModTime()) > abandoned {
			_ = root.Remove(name)
		}
	}
}

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".tmp-"

// abandoned is the age at which nobody writes to a temporary file any more.
const abandoned = time.Hour

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
		return nil, fmt.Errorf("%w: %s is gone: %w", ErrCorrupt, label(name), fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: reading %s: %w", ErrStorage, label(name), plain(err))
	}
	return f, nil
}

func (s *store) remove(name string) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: removing %s: %w", ErrStorage, label(name), plain(err))
	}
	return nil
}

// label names a file in errors, which are logged: without the words of its
// prompt.
func label(name string) string {
	base := path.Base(name)
	return path.Join(path.Dir(name), "…"+base[strings.LastIndexByte(base, '-')+1:])
}

// plain is what the system said, without the path.
func plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}
