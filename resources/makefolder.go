package resources

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const dirMode = 0o755

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
