package resources

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

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

// create creates the folder. Only a durable store creates missing parents: the
// previews are inside the catalog's folder, which must not be created again when it
// is gone.
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
			continue // this user may write to it, but not read it
		}
		if err := errors.Join(syncDir(root, "."), root.Close()); err != nil {
			return err
		}
	}
	return nil
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

// makeDir creates a folder of the store and makes it durable. Once per process it
// also flushes an existing folder, because another process may have created it and
// died before flushing it.
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
	// tempPrefix is the prefix of the names of files that are being written.
	tempPrefix = ".tmp-"
	// staleTempAge is the age at which a temporary file counts as abandoned.
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
