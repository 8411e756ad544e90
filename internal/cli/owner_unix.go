//go:build unix

package cli

import (
	"fmt"
	"os"
	"syscall"
)

// setOwner sets the owner and group of a file to those of like, unless like is
// nil. Without it, files that root writes for other users would belong to root.
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
		return fmt.Errorf("%s belongs to another user and would change its owner; run this command as that user: %w", like.Name(), err)
	}
	return nil
}
