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
	Done  string `json:"done,omitempty"`  // what was done, "" for nothing
	Error string `json:"error,omitempty"` // why the repair failed
}

// Run repairs the library for all owners. It first repairs the folder and then
// fetches paid images. It returns errProblems if problems remain.
func (c *imagesRepairCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.open(ctx, p, p.log())
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
	defer pipeline.Drain(ctx) //nolint:errcheck // it fails only if the user interrupted the command
	before, err := p.checkLibrary(ctx, library, c.ReadData)
	if err != nil {
		return err
	}
	if allMissing(before) {
		return errors.New("every file is missing: check that the folder is the right one and that its disk is mounted. Nothing was changed")
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

// client returns the client that fetches images. Without a usable key it prints a
// note and returns nil.
func (c *imagesRepairCommand) client(ctx context.Context, p *program, log *slog.Logger) (*zai.Client, error) {
	region, err := zai.ParseRegion(string(c.Region))
	if err != nil {
		return nil, err
	}
	client, err := p.client(ctx, region, upstreamFlags{BaseURL: c.BaseURL}, log)
	badKey, isBadKey := errors.AsType[*jobs.KeyError](err)
	switch {
	case isBadKey:
		fmt.Fprintf(p.Stderr, "%s Without a key no images are fetched; only the store is repaired.\n", badKey.Problem)
		return nil, nil //nolint:nilnil // the folder can be repaired without a client
	case err == nil && client == nil:
		fmt.Fprintln(p.Stderr, "Without ZAI_API_KEY no images are fetched; only the store is repaired.")
	}
	return client, err
}

// allMissing reports whether the files of all images are missing, and there are
// at least two. The folder is then probably the wrong one, or not mounted.
func allMissing(r resources.Report) bool {
	missing := 0
	for _, problem := range r.Problems {
		if problem.Kind == resources.Missing {
			missing++
		}
	}
	return missing > 1 && missing == r.Images
}

// repairFolder repairs the problems of the library's files.
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

// fetch downloads the paid images that are missing and can be downloaded.
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
		fmt.Fprintf(p.Stdout, "deleted %d previews of images that are not in the library\n", previews)
	}
	p.printReport(after)
	return nil
}
