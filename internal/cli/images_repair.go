package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

type imagesRepairCommand struct {
	Region   choice `help:"As for serve." enum:"global,china" default:"global" env:"ZAI_IMAGE_REGION"`
	BaseURL  string `name:"base-url" help:"As for serve." env:"ZAI_BASE_URL" placeholder:"URL"`
	ReadData bool   `help:"Read every file and compare it with what was saved."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// repaired is one problem and what was done about it.
type repaired struct {
	resources.Problem
	Done  string `json:"done,omitempty"`  // "" if there was nothing to do
	Error string `json:"error,omitempty"` // why it could not be done
}

// Run repairs the library, of all owners: first the folder, then it fetches
// paid images. It fails with errProblems if problems remain.
func (c *imagesRepairCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.open(p, p.log())
	if err != nil {
		return err
	}
	defer library.Close()
	log := p.errorLog()
	client, err := c.client(ctx, p, log)
	if err != nil {
		return err
	}
	pipeline := newPipeline(client, library, log)
	defer pipeline.Drain(ctx) //nolint:errcheck // only what the user interrupted is left
	before, err := p.checkLibrary(ctx, library, c.ReadData)
	if err != nil {
		return err
	}
	if allMissing(before) {
		return errors.New("every file is missing: is the folder the right one, and is its disk mounted? Nothing was changed")
	}
	done := repairFolder(ctx, library, before.Problems)
	previews, err := library.SweepPreviews(ctx)
	if err != nil {
		return err
	}
	if err := c.fetch(ctx, p, pipeline); err != nil {
		return err
	}
	after, err := p.checkLibrary(ctx, library, c.ReadData)
	if err != nil {
		return err
	}
	if err := c.print(p, done, previews, after); err != nil {
		return err
	}
	if len(after.Problems) > 0 {
		return errProblems
	}
	return nil
}

// client returns the client to fetch images with. It is nil without a usable
// key, which it prints a note about.
func (c *imagesRepairCommand) client(ctx context.Context, p *program, log *slog.Logger) (*zai.Client, error) {
	region, err := zai.ParseRegion(string(c.Region))
	if err != nil {
		return nil, err
	}
	client, err := p.client(ctx, region, upstreamFlags{BaseURL: c.BaseURL}, log)
	badKey, isBadKey := errors.AsType[*jobs.KeyError](err)
	switch {
	case isBadKey:
		fmt.Fprintf(p.Stderr, "%s Without a key nothing is fetched; only the folder is repaired.\n", badKey.Problem)
		return nil, nil //nolint:nilnil // the folder can be repaired without a client
	case err == nil && client == nil:
		fmt.Fprintln(p.Stderr, "Without ZAI_API_KEY nothing is fetched; only the folder is repaired.")
	}
	return client, err
}

// allMissing reports whether the folder cannot be the library's.
func allMissing(r resources.Report) bool {
	missing := 0
	for _, problem := range r.Problems {
		if problem.Kind == resources.Missing {
			missing++
		}
	}
	return missing > 1 && missing == r.Images
}

// repairFolder repairs the files of the library.
func repairFolder(ctx context.Context, library *resources.Library, problems []resources.Problem) []repaired {
	list := make([]repaired, 0, len(problems))
	for _, problem := range problems {
		r := repaired{Problem: problem}
		var err error
		if r.Done, err = library.Repair(ctx, problem); err != nil {
			r.Done, r.Error = "", err.Error()
		}
		list = append(list, r)
	}
	return list
}

// fetch fetches the paid images that can be fetched.
func (c *imagesRepairCommand) fetch(ctx context.Context, p *program, pipeline *jobs.Pipeline) error {
	list, err := pipeline.Recover(ctx, true)
	if err != nil {
		return err
	}
	progress, end := showProgress(p.Stderr, "fetching")
	defer end()
	for n, job := range list {
		select {
		case <-job.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
		if image := job.Image(); image.State == resources.Saved && !c.JSON {
			fmt.Fprintf(p.Stdout, "fetched %s %s\n", image.ID, plaintext.Line(image.Path, 0))
		}
		progress(n+1, len(list))
	}
	return nil
}

func (c *imagesRepairCommand) print(p *program, done []repaired, previews int, after resources.Report) error {
	if c.JSON {
		return printJSON(p.Stdout, struct {
			Repaired []repaired       `json:"repaired"`
			Now      resources.Report `json:"now"`
		}{done, after}, "  ")
	}
	for _, r := range done {
		if r.Done != "" || r.Error != "" {
			fmt.Fprintf(p.Stdout, "%s %s %s: %s\n", r.Kind, r.ID, plaintext.Line(r.Path, 0), plaintext.Line(cmp.Or(r.Error, r.Done), 0))
		}
	}
	if previews > 0 {
		fmt.Fprintf(p.Stdout, "%d previews of images that are not in the library deleted\n", previews)
	}
	p.printReport(after)
	return nil
}
