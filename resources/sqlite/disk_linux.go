package sqlite

import (
	"errors"

	"golang.org/x/sys/unix"
)

// networkFileSystem reports whether dir is on a file system whose locks or shared
// memory are not reliable, and returns its kind.
func networkFileSystem(dir string) (kind string, network bool) {
	var stat unix.Statfs_t
	if err := retryStatfs(dir, &stat); err != nil {
		return "", false
	}
	// See statfs(2) and linux/magic.h. FUSE includes sshfs, rclone and the folders
	// that desktop container engines share with their host.
	switch uint32(stat.Type) {
	case unix.NFS_SUPER_MAGIC:
		return "NFS", true
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "SMB", true
	case unix.V9FS_MAGIC:
		return "9p", true
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE", true
	case unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, unix.NCP_SUPER_MAGIC:
		return "a network file system", true
	}
	return "", false
}

func retryStatfs(dir string, stat *unix.Statfs_t) error {
	for {
		if err := unix.Statfs(dir, stat); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
