//go:build !linux

package cli

// unmapProgram does nothing: other systems count the pages of a program's file
// differently.
func unmapProgram() {}
