package program_test

import "testing"

// Windows has no SIGHUP. If a console is closed, its programs get an event that
// Go delivers as SIGTERM.
func TestClosedTerminal_FinishesPaidWork(t *testing.T) {
	t.Skip("NOT TESTED here: closing a console window takes a person or another console")
}
