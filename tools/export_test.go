package tools

import (
	"context"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// DecodeGenerate decodes the arguments of generate_image, for the fuzz test.
func DecodeGenerate(request mcp.CallToolRequest) (prompt string, n int, err error) {
	a, err := decodeArguments(request, generateArguments{})
	return a.Prompt, a.N, err
}

// DecodeExport decodes the arguments of export_image, for the fuzz test.
func DecodeExport(request mcp.CallToolRequest) (saveAs string, replace bool, err error) {
	a, err := decodeArguments(request, exportArguments{})
	return a.SaveAs, a.Replace, err
}

// PasteLines returns the lines that show a file of the project.
func PasteLines(name, alt string, width, height int) []string {
	return pasteLines(name, alt, width, height)
}

// Quiet is the shortest time between the last notification and the result.
const Quiet = quiet

// NotifyAndEnd sends one notification and then waits until the result may
// follow.
func NotifyAndEnd(ctx context.Context, request mcp.CallToolRequest) {
	r := newProgressReporter(ctx, request, time.Now, 1, 0)
	r.notify("generating", 100)
	r.settle()
}
