package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"zai-image-mcp/resources"
)

type imagesPruneCommand struct {
	Exports   bool `help:"Delete cached exports. They are made again when they are needed; files in projects stay."`
	OlderThan age  `help:"Only what is older, such as 90d or 12h (default: everything)." placeholder:"AGE"`
}

// Run deletes files of the cache and prints how much it freed.
func (c *imagesPruneCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	if !c.Exports {
		return &usageError{"images prune deletes nothing without --exports", "Add --exports to delete cached exports; images rm deletes images."}
	}
	library, err := images.openExisting(ctx, p, p.log())
	if errors.Is(err, resources.ErrNotFound) {
		_, err = fmt.Fprintln(p.Stdout, pruned(resources.CacheUsage{})) // no image was generated yet
		return err
	}
	if err != nil {
		return err
	}
	defer library.Close()
	deleted, err := library.PruneExports(ctx, time.Now().Add(-time.Duration(c.OlderThan)))
	if err != nil && deleted.Files == 0 {
		return err
	}
	_, printErr := fmt.Fprintln(p.Stdout, pruned(deleted))
	return errors.Join(err, printErr)
}

// pruned says how much was deleted.
func pruned(deleted resources.CacheUsage) string {
	return fmt.Sprintf("%d cached exports of %s deleted.", deleted.Files, megabytes(deleted.Bytes))
}

// age is a duration that may be in days, as in 90d.
type age time.Duration

// UnmarshalText implements encoding.TextUnmarshaler for kong.
func (a *age) UnmarshalText(text []byte) error {
	word := strings.ToLower(strings.TrimSpace(string(text)))
	if days, found := strings.CutSuffix(word, "d"); found {
		const most = 100_000 // more overflow a time.Duration
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= most {
			*a = age(time.Duration(n) * 24 * time.Hour)
			return nil
		}
	} else if d, err := time.ParseDuration(word); err == nil && d >= 0 {
		*a = age(d)
		return nil
	}
	return fmt.Errorf("%q is not an age like 90d or 12h", text)
}
