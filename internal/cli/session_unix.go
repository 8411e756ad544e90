//go:build unix

package cli

import "syscall"

// ownSession detaches a process from the terminal, so that Ctrl+C does not end it.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
