package auth

import "os"

// CheckMode checks the permissions of a token file.
func CheckMode(mode os.FileMode, owner, self int) error { return checkMode(mode, owner, self) }
