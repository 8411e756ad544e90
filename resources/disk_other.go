//go:build !linux && !darwin && !windows

package resources

// networkFileSystem returns false.
func networkFileSystem(string) (kind string, network bool) { return "", false }
