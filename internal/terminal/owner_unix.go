//go:build unix

package terminal

import (
	"fmt"
	"os"
	"syscall"
)

// keepOwner gives a file the owner and the group of the one whose place it
// takes; nil is for none. As root, which may write everybody's files, it would be
// root's.
func keepOwner(f *os.File, like os.FileInfo) error {
	if like == nil {
		return nil
	}
	wanted, ok := like.Sys().(*syscall.Stat_t)
	info, err := f.Stat()
	if err != nil || !ok {
		return err
	}
	if has, ok := info.Sys().(*syscall.Stat_t); ok && has.Uid == wanted.Uid && has.Gid == wanted.Gid {
		return nil
	}
	if err := f.Chown(int(wanted.Uid), int(wanted.Gid)); err != nil {
		return fmt.Errorf("%s belongs to another user, who would lose it; run this as that user: %w", like.Name(), err)
	}
	return nil
}
