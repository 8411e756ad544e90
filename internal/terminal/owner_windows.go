package terminal

import "os"

// keepOwner does nothing: a new file gets the access rights of its folder.
func keepOwner(*os.File, os.FileInfo) error { return nil }
