package cli

import (
	"context"
	"errors"
	"fmt"
)

type imagesRmCommand struct {
	ID []string `arg:"" help:"Ids or zai-image:// URIs."`
}

// Run deletes images. If one cannot be deleted, it continues with the others and
// returns the errors at the end.
func (c *imagesRmCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.openExisting(ctx, p, p.log())
	if err != nil {
		return err
	}
	defer library.Close()
	var failures []error
	for _, id := range c.ID {
		if err := library.Remove(ctx, images.owner(), parseID(id)); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", id, err))
			continue
		}
		fmt.Fprintln(p.Stdout, "removed", parseID(id))
	}
	return errors.Join(failures...)
}
