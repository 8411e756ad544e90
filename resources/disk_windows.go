package resources

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// freeBytes returns the disk space that is available to this user in dir.
func freeBytes(dir string) (uint64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return free, err
}

// networkFileSystem reports whether dir is on a network share, whether it begins
// with \\server\share or with a mapped drive letter.
func networkFileSystem(dir string) (kind string, network bool) {
	name, err := windows.UTF16PtrFromString(filepath.VolumeName(dir) + `\`)
	if err != nil || windows.GetDriveType(name) != windows.DRIVE_REMOTE {
		return "", false
	}
	return "a Windows share", true
}
