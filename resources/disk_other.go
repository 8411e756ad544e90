//go:build !linux && !darwin && !windows

package resources

import "errors"

// freeBytes is not supported here; a write fails if there is no space.
func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }

// networkFileSystem always reports false here.
func networkFileSystem(string) (kind string, network bool) { return "", false }
