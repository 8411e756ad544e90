//go:build !unix

package server

import "os"

// ownerOfFile knows no owner where files have access lists in place of modes.
func ownerOfFile(os.FileInfo) (uid int, known bool) { return 0, false }
