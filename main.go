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
	// stdout belongs to the protocol: a stray print must not reach it.
	stdout := os.Stdout
	os.Stdout = os.Stderr
	// When the host exits, stdout closes. That must not kill paid work.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	// Commands that need one of these report that it is unknown.
	home, _ := os.UserHomeDir()
	executable, _ := os.Executable()
	os.Exit(cli.Run(ctx, cli.Process{
		Stdin: os.Stdin, Stdout: stdout, Stderr: os.Stderr, Env: os.Getenv,
		Home: home, Pictures: xdg.UserDirs.Pictures, Executable: executable,
	}, os.Args[1:]))
}
