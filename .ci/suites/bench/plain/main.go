// Command plain is a small server for images on mcp-go, as a user would write it: it
// requests a picture, downloads it, makes a preview of it and saves it. It reads the
// program's environment variables for the API, the folder and the transport.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s := server.NewMCPServer("plain", "1", server.WithResourceCapabilities(false, false))
	images := generator{
		server: s, client: &http.Client{Timeout: time.Minute},
		api: os.Getenv("ZAI_BASE_URL"), key: os.Getenv("ZAI_API_KEY"), folder: os.Getenv("ZAI_IMAGE_STORE"),
	}
	s.AddTool(mcp.NewTool("generate_image",
		mcp.WithDescription("Make a picture from text with Z.AI. Returns a preview and a resource of the original."),
		mcp.WithString("prompt", mcp.Required(), mcp.Description("What to show")),
	), images.generate)
	if os.Getenv("ZAI_IMAGE_TRANSPORT") != "http" {
		stdio := server.NewStdioServer(s)
		server.WithWorkerPoolSize(64)(stdio) // five by default
		return stdio.Listen(ctx, os.Stdin, os.Stdout)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Info("listening", "address", listener.Addr().String())
	web := &http.Server{Handler: server.NewStreamableHTTPServer(s), ReadHeaderTimeout: 5 * time.Second}
	return web.Serve(listener)
}
