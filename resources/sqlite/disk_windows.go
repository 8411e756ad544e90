package sqlite

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// networkFileSystem reports whether dir is on a network share, whether it begins
// with \\server\share or with a mapped drive letter.
func networkFileSystem(dir string) (kind string, network bool) {
	name, err := windows.UTF16PtrFromString(filepath.VolumeName(dir) + `\`)
	if err != nil || windows.GetDriveType(name) != windows.DRIVE_REMOTE {
		return "", false
	}
	return "a Windows share", true
}
