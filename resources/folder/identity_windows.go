package folder

import (
	"os"
	"strconv"
	"syscall"
)

// identity returns the time at which a file was created, which differs for a file
// that replaced it.
func identity(info os.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Win32FileAttributeData); ok {
		return strconv.FormatInt(s.CreationTime.Nanoseconds(), 10)
	}
	return ""
}
