//go:build unix

package folder

import (
	"fmt"
	"os"
	"syscall"
)

// identity returns the device and the inode of a file, which differ for a file that
// replaced it.
func identity(info os.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d-%d", s.Dev, s.Ino)
	}
	return ""
}
