package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

type imagesSpendCommand struct {
	Days int  `help:"Number of UTC days to go back." default:"30"`
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints what was spent, by day, owner and model.
func (c *imagesSpendCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.openExisting(ctx, p, p.log())
	if errors.Is(err, resources.ErrNotFound) {
		return nil // no image was generated yet
	}
	if err != nil {
		return err
	}
	defer library.Close()
	since := time.Now().AddDate(0, 0, 1-max(c.Days, 1))
	list, err := library.Spending(ctx, images.Owner, since, time.Time{})
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []resources.Spending{}
		}
		return printJSON(p.Stdout, list, "  ")
	}
	return p.printSpending(list, since)
}

func (p *program) printSpending(list []resources.Spending, since time.Time) error {
	total, sandboxTotal := 0.0, 0.0
	table := tabwriter.NewWriter(p.Stdout, 0, 4, 2, ' ', 0)
	for _, s := range list {
		model := s.Model
		if s.Sandbox {
			model += " (sandbox)"
			sandboxTotal += s.CostUSD
		} else {
			total += s.CostUSD
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t$%.3f\n", s.Day, plaintext.Line(s.Owner, 0), plaintext.Line(model, 0), s.Images, s.CostUSD)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "$%.3f since %s", total, since.UTC().Format(time.DateOnly))
	if sandboxTotal > 0 {
		fmt.Fprintf(p.Stdout, ", and $%.3f in the sandbox, which is not billed", sandboxTotal)
	}
	_, err := fmt.Fprintln(p.Stdout, ".")
	return err
}
