package cli

import (
	"context"
	"fmt"
)

type imagesPathCommand struct {
	ID string `arg:"" help:"Id or zai-image:// URI."`
}

// Run prints the path of an image's file, or its address in a bucket.
func (c *imagesPathCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.openExisting(ctx, p, p.log())
	if err != nil {
		return err
	}
	defer library.Close()
	image, err := images.findSaved(ctx, library, c.ID)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Stdout, location(library, image))
	return err
}
