// Package mcpserver is the MCP server: it combines tools, prompts and the image
// library, answers the requests that transports receive, and notifies clients
// of new images.
//
// A request takes this path:
//
//	transport  parse, admit, register
//	Begin      open a delivery
//	dispatch   resources, prompts and completion are answered here, with a result
//	           or a typed protocol error; all else by mcp-go
//	mcp-go     the handshake, lists, and tools through the middleware
package mcpserver
