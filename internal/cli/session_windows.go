package cli

import "syscall"

// ownSession detaches a process from the console, so that Ctrl+C does not end it.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
