package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

type imagesDuCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the space that the images of all owners, or of the one of --owner, and the
// caches use.
func (c *imagesDuCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.openExisting(ctx, p, p.log())
	if errors.Is(err, resources.ErrNotFound) {
		return c.print(p, resources.Usage{Months: []resources.MonthUsage{}}) // no image was generated yet
	}
	if err != nil {
		return err
	}
	defer library.Close()
	usage, err := library.Usage(ctx, images.Owner)
	if err != nil {
		return err
	}
	return c.print(p, usage)
}

func (c *imagesDuCommand) print(p *program, usage resources.Usage) error {
	if c.JSON {
		return printJSON(p.Stdout, usage, "  ")
	}
	return p.printUsage(usage)
}

func (p *program) printUsage(u resources.Usage) error {
	table := tabwriter.NewWriter(p.Stdout, 0, 4, 2, ' ', 0)
	total, bytes := 0, int64(0)
	for _, m := range u.Months {
		fmt.Fprintf(table, "%s\t%s\t%d images\t%s\n", m.Month, plaintext.Line(m.Owner, 0), m.Images, megabytes(m.Bytes))
		total, bytes = total+m.Images, bytes+m.Bytes
	}
	fmt.Fprintf(table, "total\t\t%d images\t%s\n", total, megabytes(bytes))
	fmt.Fprintf(table, "previews\t\t%d files\t%s\n", u.Previews.Files, megabytes(u.Previews.Bytes))
	fmt.Fprintf(table, "exports\t\t%d files\t%s\n", u.Exports.Files, megabytes(u.Exports.Bytes))
	return table.Flush()
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
