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

type imagesListCommand struct {
	Query string `help:"Only images whose prompt contains every word of this."`
	Limit int    `help:"Maximum number to list; 0 lists all." default:"20"`
	JSON  bool   `name:"json" help:"Print one JSON object per line."`
}

// listedPrompt is the maximum number of characters of a prompt in a list.
const listedPrompt = 60

// Run prints the owner's images, newest first. Without a query it then prints the
// images that are not saved but have been, or may have been, paid for.
func (c *imagesListCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.openExisting(ctx, p, p.log())
	if errors.Is(err, resources.ErrNotFound) {
		return nil // no image was generated yet
	}
	if err != nil {
		return err
	}
	defer library.Close()
	if err := c.printSaved(ctx, p, images, library); err != nil || c.Query != "" {
		return err
	}
	const most = 100
	unsaved, err := library.Unsaved(ctx, images.owner(), most)
	for _, image := range unsaved {
		if c.JSON {
			err = errors.Join(err, printJSON(p.Stdout, entryOf(ctx, library, image), ""))
			continue
		}
		_, _ = fmt.Fprintf(p.Stdout, "%s  %s  not saved, %s: %s%s\n", image.ID, listedTime(image.CreatedAt), image.Status(), sandboxMark(image), plaintext.Line(image.Prompt, listedPrompt))
	}
	return err
}

func (c *imagesListCommand) printSaved(ctx context.Context, p *program, images *imagesCommand, library *resources.Library) error {
	table := tabwriter.NewWriter(p.Stdout, 0, 4, 2, ' ', 0)
	const page = 200
	cursor := ""
	for shown := 0; c.Limit == 0 || shown < c.Limit; {
		want := page
		if c.Limit > 0 {
			want = min(page, c.Limit-shown)
		}
		list, next, err := library.List(ctx, images.owner(), c.Query, cursor, want)
		if err != nil {
			return err
		}
		for _, image := range list {
			if c.JSON {
				if err := printJSON(p.Stdout, entryOf(ctx, library, image), ""); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%dx%d\t%s\t%s%s\n", image.ID, listedTime(image.CreatedAt), image.Width, image.Height,
				image.Model, sandboxMark(image), plaintext.Line(image.Prompt, listedPrompt))
		}
		shown += len(list)
		if cursor = next; next == "" {
			break
		}
	}
	return table.Flush()
}

func listedTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// sandboxMark returns the mark for an image from the sandbox, "" for others.
func sandboxMark(image resources.Image) string {
	if image.Sandbox {
		return "(sandbox) "
	}
	return ""
}
