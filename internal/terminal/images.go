package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"zai-image-mcp/resources"
)

// Images looks after one owner's pictures.
type Images struct {
	Library *resources.Library
	Owner   string
	Out     io.Writer
}

// List prints pictures, newest first, at most limit of them (0 for all). What
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
		_, _ = fmt.Fprintf(c.Out, "%s  %s  not saved, %s: %s\n", row.ID, row.CreatedAt.Local().Format("2006-01-02 15:04"), row.Status(), short(row.Prompt, 60))
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
			fmt.Fprintf(table, "%s\t%s\t%dx%d\t%s\t%s\n", row.ID, row.CreatedAt.Local().Format("2006-01-02 15:04"), row.Width, row.Height,
				row.Model, short(row.Prompt, 60))
		}
		shown += len(rows)
		if cursor = next; next == "" {
			break
		}
	}
	return table.Flush()
}

// Show prints all that is known of a picture.
func (c Images) Show(ctx context.Context, id string) error {
	row, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	return c.json(ctx, row, "  ")
}

// Path prints where the picture's file lies.
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

// Remove deletes pictures; it goes on after one that cannot be deleted.
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
	encoder := json.NewEncoder(c.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	return encoder.Encode(c.Library.Entry(ctx, row, resources.Reach{Path: true}))
}

// plainID takes an id or the URI of a picture.
func plainID(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	if id, _, ok := resources.ParseURI(text); ok {
		return id
	}
	return text
}

func short(text string, runes int) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > runes {
		return string(r[:runes-1]) + "…"
	}
	return text
}
