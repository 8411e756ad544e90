package folder

import (
	"errors"

	"golang.org/x/sys/unix"
)

// freeBytes returns the disk space that is available to this user in dir.
func freeBytes(dir string) (uint64, error) {
	var stat unix.Statfs_t
	for {
		switch err := unix.Statfs(dir, &stat); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		default:
			return stat.Bavail * uint64(stat.Bsize), nil
		}
	}
}
