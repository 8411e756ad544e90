//go:build !windows

package resources

import "os"

// syncDir makes the names in a folder durable (fsync(2): the folder needs its
// own).
func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
