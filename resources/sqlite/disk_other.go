//go:build !linux && !darwin && !windows

package sqlite

// networkFileSystem returns false.
func networkFileSystem(string) (kind string, network bool) { return "", false }
