package cli

import (
	"context"

	"zai-image-mcp/resources"
)

type imagesShowCommand struct {
	ID string `arg:"" help:"Id or zai-image:// URI."`
}

// Run prints an image's entry and marks as JSON.
func (c *imagesShowCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.openExisting(ctx, p, p.log())
	if err != nil {
		return err
	}
	defer library.Close()
	image, err := images.find(ctx, library, c.ID)
	if err != nil {
		return err
	}
	return printJSON(p.Stdout, struct {
		resources.Description
		UpstreamAnswer string `json:"upstream_answer,omitempty"` // response of Z.AI that could not be parsed
	}{library.Describe(ctx, image, resources.Locator{Path: true}), image.UpstreamAnswer}, "  ")
}
