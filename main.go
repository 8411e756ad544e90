// Command zai-image-mcp is an MCP server that lets AI agents generate images
// with Z.AI and keeps the images.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/adrg/xdg"

	"zai-image-mcp/internal/cli"
)

func main() {
	// stdout carries only protocol messages: stray prints go to stderr.
	stdout := os.Stdout
	os.Stdout = os.Stderr
	// When the host exits, writes to stdout raise SIGPIPE. It must not end paid
	// work.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	// On an error these are empty. Commands that need one report that it is
	// unknown.
	home, _ := os.UserHomeDir()
	executable, _ := os.Executable()
	dir, _ := os.Getwd()
	os.Exit(cli.Run(ctx, cli.Process{
		Stdin: os.Stdin, Stdout: stdout, Stderr: os.Stderr, Env: os.Getenv,
		Home: home, Dir: dir, Pictures: xdg.UserDirs.Pictures, Executable: executable,
	}, os.Args[1:]))
}
