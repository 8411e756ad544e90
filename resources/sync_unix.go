//go:build !windows

package resources

import "os"

// syncDir makes the names in a folder durable; flushing the files does not
// (fsync(2)).
func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
