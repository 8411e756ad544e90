//go:build unix

package cli

import (
	"fmt"
	"os"
	"syscall"
)

// setOwner gives a file the owner and the group of another file; like may be
// nil. Root can write the files of all users, and must not take them over.
func setOwner(f *os.File, like os.FileInfo) error {
	if like == nil {
		return nil
	}
	want, ok := like.Sys().(*syscall.Stat_t)
	info, err := f.Stat()
	if err != nil || !ok {
		return err
	}
	if has, ok := info.Sys().(*syscall.Stat_t); ok && has.Uid == want.Uid && has.Gid == want.Gid {
		return nil
	}
	if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil {
		return fmt.Errorf("%s belongs to another user, who would lose it; run this as that user: %w", like.Name(), err)
	}
	return nil
}
