package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

// listedPrompt is how many characters of a prompt lists show.
const listedPrompt = 60

// Images looks after one owner's images.
type Images struct {
	Library *resources.Library
	Owner   string
	Out     io.Writer
}

// List prints images, newest first, at most limit of them (0 for all). What
// is paid for, or may be, and is not in the library comes last.
func (c Images) List(ctx context.Context, query string, limit int, asJSON bool) error {
	if err := c.listSaved(ctx, query, limit, asJSON); err != nil || query != "" {
		return err
	}
	const most = 100
	unsaved, err := c.Library.Unsaved(ctx, c.Owner, most)
	for _, row := range unsaved {
		if asJSON {
			err = errors.Join(err, c.json(ctx, row, ""))
			continue
		}
		_, _ = fmt.Fprintf(c.Out, "%s  %s  not saved, %s: %s%s\n", row.ID, row.CreatedAt.Local().Format("2006-01-02 15:04"), row.Status(), sandboxMark(row), plaintext.Line(row.Prompt, listedPrompt))
	}
	return err
}

func (c Images) listSaved(ctx context.Context, query string, limit int, asJSON bool) error {
	table := tabwriter.NewWriter(c.Out, 0, 4, 2, ' ', 0)
	const page = 200
	cursor := ""
	for shown := 0; limit == 0 || shown < limit; {
		want := page
		if limit > 0 {
			want = min(page, limit-shown)
		}
		rows, next, err := c.Library.List(ctx, c.Owner, query, cursor, want)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if asJSON {
				if err := c.json(ctx, row, ""); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%dx%d\t%s\t%s%s\n", row.ID, row.CreatedAt.Local().Format("2006-01-02 15:04"), row.Width, row.Height,
				row.Model, sandboxMark(row), plaintext.Line(row.Prompt, listedPrompt))
		}
		shown += len(rows)
		if cursor = next; next == "" {
			break
		}
	}
	return table.Flush()
}

// Show prints all that is known of an image.
func (c Images) Show(ctx context.Context, id string) error {
	row, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	return writeJSON(c.Out, struct {
		resources.Entry
		UpstreamAnswer string `json:"upstream_answer,omitempty"` // of Z.AI, when it was not understood
	}{c.Library.Entry(ctx, row, resources.Locator{Path: true}), row.UpstreamAnswer}, "  ")
}

// Path prints where the image's file lies.
func (c Images) Path(ctx context.Context, id string) error {
	row, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	if row.State != resources.Saved {
		return fmt.Errorf("%s is not saved but %s", row.ID, row.Status())
	}
	_, err = fmt.Fprintln(c.Out, c.Library.Path(row))
	return err
}

// Remove deletes images; it goes on after one that cannot be deleted.
func (c Images) Remove(ctx context.Context, ids []string) error {
	var problems []error
	for _, id := range ids {
		if err := c.Library.Remove(ctx, c.Owner, plainID(id)); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", id, err))
			continue
		}
		fmt.Fprintln(c.Out, "removed", plainID(id))
	}
	return errors.Join(problems...)
}

func (c Images) find(ctx context.Context, id string) (resources.Image, error) {
	row, err := c.Library.Image(ctx, c.Owner, plainID(id))
	if err != nil {
		return row, fmt.Errorf("%s: %w", id, err)
	}
	return row, nil
}

func (c Images) json(ctx context.Context, row resources.Image, indent string) error {
	return writeJSON(c.Out, c.Library.Entry(ctx, row, resources.Locator{Path: true}), indent)
}

// sandboxMark tells drawn images from those that Z.AI made.
func sandboxMark(row resources.Image) string {
	if row.Sandbox {
		return "(sandbox) "
	}
	return ""
}

// plainID takes an id or the URI of an image.
func plainID(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	if id, _, ok := resources.ParseURI(text); ok {
		return id
	}
	return text
}
