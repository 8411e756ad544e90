package tools

import (
	"context"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

const (
	defaultListed = 10
	maxListed     = 50
)

type listArguments struct {
	Query  string `json:"query,omitempty" jsonschema_description:"Words that all occur in the prompt, in any order and case"`
	Limit  int    `json:"limit,omitempty" jsonschema:"minimum=1,maximum=50,default=10"`
	Cursor string `json:"cursor,omitempty" jsonschema_description:"next_cursor of the page before"`
}

func (t *tools) listImages() (server.ServerTool, error) {
	input, err := inputSchema(&listArguments{}, nil)
	if err != nil {
		return server.ServerTool{}, err
	}
	output, err := outputSchema(true)
	if err != nil {
		return server.ServerTool{}, err
	}
	tool := definition("list_images", "List images", "List pictures made earlier, newest first. Free of charge.", input, output, true)
	return server.ServerTool{Tool: tool, Handler: t.list}, nil
}

func (t *tools) list(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	arguments, err := decodeArguments(request, listArguments{Limit: defaultListed})
	if err != nil {
		return t.failed(err), nil
	}
	limit := arguments.Limit
	if limit < 1 || limit > maxListed {
		return t.failed(&argumentError{fmt.Sprintf("limit is %d, which is not between 1 and %d.", limit, maxListed), "Use next_cursor as cursor for further pages."}), nil
	}
	cursor := strings.TrimSpace(arguments.Cursor)
	if cursor != "" && !resources.ValidID(cursor) {
		return t.failed(&argumentError{"The cursor is not one of this tool.", "Pass next_cursor of the page before, or leave it out."}), nil
	}
	rows, next, err := t.Library.List(ctx, t.Owner(ctx), strings.TrimSpace(arguments.Query), cursor, limit)
	if err != nil {
		return t.failed(err), nil
	}
	return t.listing(ctx, strings.TrimSpace(arguments.Query), rows, next), nil
}

// listing returns a page as text and as data.
func (t *tools) listing(ctx context.Context, query string, rows []resources.Image, next string) *mcp.CallToolResult {
	var b strings.Builder
	switch {
	case len(rows) > 0:
	case query != "":
		fmt.Fprintf(&b, "No images whose prompt has all of the words: %s\n", plaintext.Line(query, 80))
	default:
		b.WriteString("No images found.\n")
	}
	structured := t.structured(ctx, nil)
	structured.Images, structured.NextCursor = []resources.Entry{}, next
	for _, row := range rows {
		// A page of long prompts would fill the agent's context.
		row.Prompt = shorten(row.Prompt, 300)
		entry := t.Library.Entry(ctx, row, t.Reach)
		structured.Images = append(structured.Images, entry)
		mark := ""
		if row.Sandbox {
			mark = "(sandbox) "
		}
		fmt.Fprintf(&b, "%s  %s  %dx%d  %s  %s%s\n", row.ID, row.CreatedAt.Format("2006-01-02 15:04"), row.Width, row.Height,
			row.Model, mark, plaintext.Line(row.Prompt, 80))
		switch {
		case entry.Path != "":
			fmt.Fprintf(&b, "  file: %s\n", entry.Path)
		case entry.DownloadURL != "":
			fmt.Fprintf(&b, "  download: %s\n", entry.DownloadURL)
		}
	}
	if next != "" {
		fmt.Fprintf(&b, "More with cursor %s\n", next)
	}
	return &mcp.CallToolResult{
		Content:           []mcp.Content{mcp.NewTextContent(strings.TrimRight(b.String(), "\n"))},
		StructuredContent: structured,
	}
}
