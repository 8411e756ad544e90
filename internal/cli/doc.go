// Package cli is the command line of zai-image-mcp: commands, flags, and the
// wiring of the other packages.
//
// It is the only package that uses flags, environment variables and standard
// streams. It gets them from package main, the latter two as a Process. Each
// command has its own file; wire.go creates what several commands use.
package cli
