package resources

import (
	"os"
	"path/filepath"
)

// NetworkFileSystem reports whether a folder is on a file system that does not
// lock a catalog reliably, and returns the kind of the file system. For a
// folder that does not exist, it examines the nearest parent that does.
func NetworkFileSystem(folder string) (kind string, network bool) {
	for {
		if _, err := os.Stat(folder); err == nil || folder == filepath.Dir(folder) {
			return networkFileSystem(folder)
		}
		folder = filepath.Dir(folder)
	}
}
