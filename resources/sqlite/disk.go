package sqlite

import (
	"os"
	"path/filepath"
)

// NetworkFileSystem reports whether a folder is on a file system on which SQLite's
// locks are not reliable, and returns the kind of that file system. If the folder
// does not exist, it examines the nearest parent that does.
func NetworkFileSystem(folder string) (kind string, network bool) {
	for {
		if _, err := os.Stat(folder); err == nil || folder == filepath.Dir(folder) {
			return networkFileSystem(folder)
		}
		folder = filepath.Dir(folder)
	}
}
