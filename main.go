// Command zai-image-mcp is an MCP server that lets AI agents generate images
// with Z.AI and keeps the images.
package main

import "zai-image-mcp/internal/cli"

func main() { cli.Main() }
