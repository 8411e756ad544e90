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
	return define(t, definition{
		name: "get_image", title: "Get image", readOnly: true, shortOutput: true,
		description: "Get a picture made earlier, like the result of generate_image. Waits for one that is still being made and fetches again one whose download failed. Free of charge.",
	}, getArguments{}, t.get)
}

func (t *tools) get(ctx context.Context, c toolCall, arguments getArguments) (*mcp.CallToolResult, error) {
	id := strings.ToLower(strings.TrimSpace(arguments.ID))
	if fromURI, _, ok := resources.ParseURI(id); ok {
		id = fromURI
	}
	if id == "" {
		return nil, &argumentError{"The argument \"id\" is missing.", "Pass the id of an image; list_images shows them."}
	}
	if !resources.ValidID(id) {
		return nil, resources.ErrNotFound
	}
	i, err := t.Library.Image(ctx, c.caller.Owner, id)
	if err != nil {
		return nil, err
	}
	progress := newProgressReporter(ctx, c.request, t.Now, 1, t.typicalDuration(i.Model, i.Quality))
	defer progress.close()
	job, err := t.Pipeline.Follow(ctx, i, progress.watch)
	if err != nil {
		return nil, err
	}
	if err := t.await(ctx, &jobs.Call{Jobs: []*jobs.Job{job}}, t.waitEnd(), progress); err != nil {
		return nil, err
	}
	return t.imagesResult(ctx, c.caller, []resources.Image{job.Image()}, ""), nil
}
