package tools

import "github.com/mark3labs/mcp-go/mcp"

// DecodeGenerate lets the fuzzer reach the decoder alone.
func DecodeGenerate(request mcp.CallToolRequest) (prompt string, n int, err error) {
	a, err := decodeArguments(request, generateArguments{})
	return a.Prompt, a.N, err
}
