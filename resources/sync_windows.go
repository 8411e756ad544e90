package resources

import "os"

// syncDir does nothing: Windows has no way to flush a folder, NTFS journals
// its names.
func syncDir(*os.Root, string) error { return nil }
