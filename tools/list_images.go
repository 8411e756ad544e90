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

// Limits on the prompt of a listed image, in characters: a page of long prompts
// would fill the agent's context.
const (
	maxListedPrompt = 300 // in structured content
	maxLinePrompt   = 80  // in the text
)

type listArguments struct {
	Query  string `json:"query,omitempty" jsonschema_description:"Words that all occur in the prompt, in any order and case"`
	Limit  int    `json:"limit,omitempty" jsonschema:"minimum=1,maximum=50,default=10"`
	Cursor string `json:"cursor,omitempty" jsonschema_description:"next_cursor of the page before"`
}

func (t *tools) listImages() (server.ServerTool, error) {
	return define(t, definition{
		name: "list_images", title: "List images", readOnly: true, output: outputShort,
		description: "List pictures made earlier, newest first. Free of charge.",
	}, listArguments{Limit: defaultListed}, t.list)
}

func (t *tools) list(ctx context.Context, c toolCall, arguments listArguments) (*mcp.CallToolResult, error) {
	limit := arguments.Limit
	if limit < 1 || limit > maxListed {
		return nil, &argumentError{fmt.Sprintf("limit is %d, which is not between 1 and %d.", limit, maxListed), "Use next_cursor as cursor for further pages."}
	}
	cursor, query := strings.TrimSpace(arguments.Cursor), strings.TrimSpace(arguments.Query)
	if cursor != "" && !resources.ValidID(cursor) {
		return nil, &argumentError{"The cursor does not come from list_images.", "Pass next_cursor of the previous page, or leave it out."}
	}
	images, next, err := t.Library.List(ctx, c.caller.Owner, query, cursor, limit)
	if err != nil {
		return nil, err
	}
	return t.listResult(ctx, c.caller, query, images, next), nil
}

// listResult returns a page of images as text and as structured content.
func (t *tools) listResult(ctx context.Context, caller Caller, query string, images []resources.Image, next string) *mcp.CallToolResult {
	structured := t.structuredResult(ctx, caller, nil)
	structured.Images, structured.NextCursor = []resources.Entry{}, next
	var b strings.Builder
	switch {
	case len(images) > 0:
	case query != "":
		fmt.Fprintf(&b, "No images whose prompt has all of the words: %s\n", plaintext.Line(query, maxLinePrompt))
	default:
		b.WriteString("No images found.\n")
	}
	for _, i := range images {
		i.Prompt = plaintext.Truncate(i.Prompt, maxListedPrompt)
		entry := t.Library.Entry(ctx, i, t.Locator)
		structured.Images = append(structured.Images, entry)
		mark := ""
		if i.Sandbox {
			mark = "(sandbox) "
		}
		fmt.Fprintf(&b, "%s  %s  %dx%d  %s  %s%s\n", i.ID, i.CreatedAt.Format("2006-01-02 15:04"), i.Width, i.Height,
			i.Model, mark, plaintext.Line(i.Prompt, maxLinePrompt))
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
