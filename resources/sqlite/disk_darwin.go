package sqlite

import "golang.org/x/sys/unix"

// networkFileSystem reports whether dir is on a remote file system, and returns
// its kind.
func networkFileSystem(dir string) (kind string, network bool) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil || stat.Flags&unix.MNT_LOCAL != 0 {
		return "", false
	}
	return unix.ByteSliceToString(stat.Fstypename[:]), true
}
