//go:build !linux && !darwin && !windows

package resources

import "errors"

// freeBytes is not known here: writing has to show whether there is space.
func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }

// networkFileSystem reports nothing here.
func networkFileSystem(string) (kind string, network bool) { return "", false }
