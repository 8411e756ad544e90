package cli

import (
	"context"
	"fmt"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

type imagesReindexCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run adds files that are missing from the catalog. It returns errProblems if a
// file cannot be added.
func (c *imagesReindexCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.open(ctx, p, p.log())
	if err != nil {
		return err
	}
	defer library.Close()
	progress, end := showProgress(p.Stderr, "reading")
	list, err := library.Reindex(ctx, images.owner(), progress)
	end()
	if err != nil {
		return err
	}
	failed := 0
	for _, file := range list {
		if !file.OK {
			failed++
		}
		if !c.JSON {
			fmt.Fprintf(p.Stdout, "%s %s\n", plaintext.Line(file.Path, 0), plaintext.Line(file.Note, 0))
		}
	}
	if c.JSON {
		if list == nil {
			list = []resources.Adopted{}
		}
		err = printJSON(p.Stdout, list, "  ")
	} else {
		fmt.Fprintf(p.Stdout, "%d files added, %d not added.\n", len(list)-failed, failed)
	}
	if err == nil && failed > 0 {
		return errProblems
	}
	return err
}
