package cli

import "os"

// setOwner does nothing: a new file gets the access rights of its folder.
func setOwner(*os.File, os.FileInfo) error { return nil }
