package tools

import (
	"context"
	"strings"
	"time"

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
			return t.failed(&argumentError{"The argument \"id\" is missing.", "Pass the id of a picture; list_images shows them."}), nil
		}
		return t.failed(resources.ErrNotFound), nil
	}
	row, err := t.Library.Image(ctx, t.Owner(ctx), id)
	if err != nil {
		return t.failed(err), nil
	}
	row, err = t.settled(ctx, request, row)
	if err != nil {
		return t.failed(err), nil
	}
	return t.pictures(ctx, []resources.Image{row}), nil
}

// settled waits for a picture that is being made, here or by another process
// on the same catalog, for at most Wait.
func (t *tools) settled(ctx context.Context, request mcp.CallToolRequest, row resources.Image) (resources.Image, error) {
	report := newReport(ctx, request, t.Now, 1, t.usual(row.Model, row.Quality))
	defer report.close()
	job := t.Pipeline.Find(row.ID)
	if job == nil && t.Pipeline.Refetchable(row) {
		var err error
		if job, err = t.Pipeline.Refetch(row); err != nil {
			return row, err
		}
	}
	if job != nil {
		return t.wait(ctx, job, report)
	}
	return t.poll(ctx, row, report)
}

// poll looks at a row that another process works on.
func (t *tools) poll(ctx context.Context, row resources.Image, report *report) (resources.Image, error) {
	limit := time.NewTimer(t.Wait)
	defer limit.Stop()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	for row.Working() {
		select {
		case <-look.C:
			var err error
			if row, err = t.Library.Image(ctx, t.Owner(ctx), row.ID); err != nil {
				return row, err
			}
		case <-beat.C:
			report.send("another program on this library is making it", nil)
		case <-limit.C:
			return row, nil
		case <-t.HandOver:
			return row, nil
		case <-ctx.Done():
			return row, ctx.Err()
		}
	}
	return row, nil
}

// wait waits for a job that another call began and may still want.
func (t *tools) wait(ctx context.Context, job *jobs.Job, report *report) (resources.Image, error) {
	limit := time.NewTimer(t.Wait)
	defer limit.Stop()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		select {
		case <-job.Done():
			return job.Image(), nil
		case <-limit.C:
			return job.Image(), nil
		case <-t.HandOver:
			return job.Image(), nil
		case <-beat.C:
			report.beat([]*jobs.Job{job})
		case <-ctx.Done():
			return job.Image(), ctx.Err()
		}
	}
}
