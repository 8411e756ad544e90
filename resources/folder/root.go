package folder

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"zai-image-mcp/resources"
)

// open returns the folder at the Folder's path. In a durable Folder it fails if
// the folder existed before and is gone: its disk may be unmounted, and images
// written below the mount point would be hidden later.
func (f *Folder) open() (*os.Root, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.dir)
	switch {
	case err == nil && f.root != nil && os.SameFile(info, f.opened):
		return f.root, nil
	case errors.Is(err, fs.ErrNotExist) && f.opened != nil && f.durable:
		return nil, folderError(f.dir, resources.ErrGone)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, folderError(f.dir, err)
	}
	if f.root != nil {
		_ = f.root.Close() // the old folder may no longer exist
		f.root = nil
	}
	if err := f.create(); err != nil {
		return nil, folderError(f.dir, err)
	}
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, folderError(f.dir, err)
	}
	if f.opened, err = root.Stat("."); err != nil {
		return nil, errors.Join(folderError(f.dir, err), root.Close())
	}
	f.root, f.synced = root, map[string]bool{}
	return root, nil
}

// unused reports whether the folder does not exist, and open would create it.
func (f *Folder) unused() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := os.Stat(f.dir)
	return errors.Is(err, fs.ErrNotExist) && (f.opened == nil || !f.durable)
}

// create creates the folder. Only a durable Folder creates missing parents: the
// previews are inside the catalog's folder, which must not be created again when it
// is gone.
func (f *Folder) create() error {
	if f.durable {
		return Make(f.dir)
	}
	return mkdir(f.dir)
}

// mkdir creates a folder in an existing one. An existing folder is no error.
func mkdir(dir string) error {
	if err := os.Mkdir(dir, dirMode); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Make creates a folder and its parents, and flushes each folder that has a
// new entry, so that all of them survive a power cut.
func Make(dir string) error {
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

// Ping implements resources.Store.
func (f *Folder) Ping(context.Context) error {
	root, err := f.open()
	if err != nil {
		return err
	}
	if _, err := root.Stat("."); err != nil {
		return folderError(f.dir, err)
	}
	return nil
}

// Present fails if the folder is missing: its disk may be unmounted, or its name
// misspelled.
func (f *Folder) Present(context.Context) error {
	if info, err := os.Stat(f.dir); err != nil || !info.IsDir() {
		return folderError(f.dir, resources.ErrGone)
	}
	return nil
}

// makeDir creates a folder in it and makes it durable. Once per process it
// also flushes an existing folder, because another process may have created it and
// died before flushing it.
func (f *Folder) makeDir(root *os.Root, dir string) error {
	f.mu.Lock()
	done := f.synced[dir]
	f.mu.Unlock()
	if info, err := root.Stat(dir); done && err == nil && info.IsDir() {
		return nil
	}
	if err := root.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	for parent := dir; parent != "."; {
		parent = path.Dir(parent)
		if err := f.syncDir(root, parent); err != nil {
			return err
		}
	}
	f.sweep(root, dir)
	f.mu.Lock()
	f.synced[dir] = true
	f.mu.Unlock()
	return nil
}

const (
	// tempPrefix is the prefix of the names of files that are being written.
	tempPrefix = ".tmp-"
	// staleTempAge is the age at which a temporary file counts as abandoned.
	staleTempAge = time.Hour
)

// sweep removes temporary files that dead processes left in a folder.
func (f *Folder) sweep(root *os.Root, dir string) {
	left, err := fs.Glob(root.FS(), path.Join(dir, tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, name := range left {
		if info, err := root.Lstat(name); err == nil && f.now().Sub(info.ModTime()) > staleTempAge {
			_ = root.Remove(name)
		}
	}
}

func (f *Folder) syncDir(root *os.Root, name string) error {
	if !f.durable {
		return nil
	}
	return syncDir(root, name)
}
