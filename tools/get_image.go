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
	ID     string `json:"id" jsonschema_description:"26 characters, or the zai-image:// URI"`
	SaveAs string `json:"save_as,omitempty"`
}

func (t *tools) getImage() (server.ServerTool, error) {
	return define(t, definition{
		name: "get_image", title: "Get image", readOnly: t.Project == nil, output: outputShort,
		description: "Get a picture made earlier, like the result of generate_image. Waits for one that is still being made and fetches again one whose download failed. Free of charge.",
	}, getArguments{}, t.get)
}

func (t *tools) get(ctx context.Context, c toolCall, arguments getArguments) (*mcp.CallToolResult, error) {
	i, err := t.findImage(ctx, c.caller, arguments.ID)
	if err != nil {
		return nil, err
	}
	names, err := t.fileNames(arguments.SaveAs, 1)
	if err != nil {
		return nil, err
	}
	if i, err = t.followImage(ctx, c, i); err != nil {
		return nil, err
	}
	return t.imagesResult(ctx, c.caller, []resources.Image{i}, names, ""), nil
}

// findImage returns an image of the caller by its id or one of its URIs.
func (t *tools) findImage(ctx context.Context, caller Caller, id string) (resources.Image, error) {
	id = strings.ToLower(strings.TrimSpace(id))
	if fromURI, _, ok := resources.ParseURI(id); ok {
		id = fromURI
	}
	if id == "" {
		return resources.Image{}, &argumentError{"The argument \"id\" is missing.", "Pass the id of an image; list_images shows them."}
	}
	return t.Library.Image(ctx, caller.Owner, id)
}

// followImage waits for an image that is still being made, and returns it as it is then.
func (t *tools) followImage(ctx context.Context, c toolCall, i resources.Image) (resources.Image, error) {
	progress := newProgressReporter(ctx, c.request, t.Now, 1, t.typicalDuration(i.Model, i.Quality))
	defer progress.close()
	job, err := t.Pipeline.Follow(ctx, i, progress.watch)
	if err != nil {
		return i, err
	}
	if err := t.await(ctx, &jobs.Call{Jobs: []*jobs.Job{job}}, t.waitEnd(), progress); err != nil {
		return i, err
	}
	return job.Image(), nil
}
