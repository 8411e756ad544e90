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

// store keeps files below one folder. All access goes through os.Root, so neither a
// name nor a symbolic link can lead outside. The folder is created at first use. If
// it is replaced while the program runs, for example by a restored backup, the store
// uses the new folder.
type store struct {
	dir     string
	durable bool // saved files survive a power cut, and not only a crash of the program
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

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}

// path returns the path of a file of the store on this machine.
func (s *store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

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

// save writes a file atomically: its name refers to the whole content or does not
// exist. It writes a temporary file in the same folder and renames it. A durable
// store also flushes the file before the rename and the folder after it, so that the
// file survives a power cut. save returns the SHA-256 and the size of the content.
// Errors of r are returned unchanged; errors of the disk match ErrStorage.
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
		_ = root.Remove(temp) // if it fails, sweep removes the file later
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

// openFile opens a regular file for reading. It fails with an error that matches
// ErrCorrupt and fs.ErrNotExist if the file is missing.
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

// remove deletes a file. It succeeds if the file does not exist.
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
