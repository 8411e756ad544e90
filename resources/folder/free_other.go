//go:build !linux && !darwin && !windows

package folder

import "errors"

// freeBytes fails with errors.ErrUnsupported: only a write shows that the disk is
// full.
func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
