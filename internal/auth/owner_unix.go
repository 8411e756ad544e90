//go:build unix

package auth

import (
	"os"
	"syscall"
)

// ownerOfFile returns the user id of a file's owner.
func ownerOfFile(info os.FileInfo) (uid int, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
