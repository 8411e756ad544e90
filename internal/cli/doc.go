// Package cli is the command line of zai-image-mcp: commands, flags, and the
// wiring of the other packages.
//
// It is the only package that reads flags, environment variables and standard
// streams, which it gets as a Process. Each command has a file of its own;
// wire.go builds what they share.
package cli
