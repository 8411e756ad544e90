// Command minimal is a minimal server on mcp-go, the baseline for the start-up
// time of the program and for reading a resource. With a FILE its resource is
// file://FILE; with an ADDRESS too, it serves Streamable HTTP there.
//
//	minimal [FILE [ADDRESS]]
package main

import (
	"context"
	"encoding/base64"
	"os"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	if run(os.Args[1:]) != nil {
		os.Exit(1)
	}
}

func run(args []string) error {
	s := server.NewMCPServer("minimal", "1")
	s.AddTool(mcp.NewTool("generate_image", mcp.WithString("prompt", mcp.Required())),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(""), nil
		})
	if len(args) > 0 {
		s.AddResource(mcp.NewResource("file://"+args[0], "image"), readFile(args[0]))
	}
	if len(args) > 1 {
		return server.NewStreamableHTTPServer(s).Start(args[1])
	}
	return server.NewStdioServer(s).Listen(context.Background(), os.Stdin, os.Stdout)
}

func readFile(path string) server.ResourceHandlerFunc {
	return func(_ context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return []mcp.ResourceContents{mcp.BlobResourceContents{
			URI: request.Params.URI, MIMEType: "image/png", Blob: base64.StdEncoding.EncodeToString(b),
		}}, nil
	}
}
