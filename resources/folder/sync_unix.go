//go:build !windows

package folder

import "os"

// syncDir flushes the entries of a folder to disk, which flushing its files does not
// do (fsync(2)).
func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
