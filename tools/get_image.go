package tools

import (
	"context"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
)

type getArguments struct {
	ID string `json:"id" jsonschema_description:"26 characters, or the zai-image:// URI"`
}

func (t *tools) getImage() (server.ServerTool, error) {
	input, err := inputSchema(&getArguments{}, nil)
	if err != nil {
		return server.ServerTool{}, err
	}
	output, err := outputSchema(true)
	if err != nil {
		return server.ServerTool{}, err
	}
	tool := definition("get_image", "Get image",
		"Get a picture made earlier, like the result of generate_image. Waits for one that is still being made and fetches again one whose download failed. Free of charge.",
		input, output, true)
	return server.ServerTool{Tool: tool, Handler: t.get}, nil
}

func (t *tools) get(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	arguments, err := decodeArguments(request, getArguments{})
	if err != nil {
		return t.failed(err), nil
	}
	id := strings.ToLower(strings.TrimSpace(arguments.ID))
	if fromURI, _, ok := resources.ParseURI(id); ok {
		id = fromURI
	}
	if !resources.ValidID(id) {
		if id == "" {
			return t.failed(&argumentError{"The argument \"id\" is missing.", "Pass the id of an image; list_images shows them."}), nil
		}
		return t.failed(resources.ErrNotFound), nil
	}
	row, err := t.Library.Image(ctx, t.Owner(ctx), id)
	if err != nil {
		return t.failed(err), nil
	}
	report := newProgressReporter(ctx, request, t.Now, 1, t.usual(row.Model, row.Quality))
	defer report.close()
	job, err := t.Pipeline.Follow(ctx, row, report.watch)
	if err != nil {
		return t.failed(err), nil
	}
	if left := t.await(ctx, &jobs.Call{Jobs: []*jobs.Job{job}}, report); left != nil {
		return failureResult(left), nil
	}
	return t.imagesResult(ctx, []resources.Image{job.Image()}, ""), nil
}
