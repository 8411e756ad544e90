package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/label"
)

type imagesCopyCommand struct {
	ToStore   filePath `help:"Folder or s3:// address to copy images to." env:"ZAI_IMAGE_TO_STORE" placeholder:"STORE"`
	ToCatalog filePath `help:"SQLite file or postgres:// address to copy the catalog to (default: .catalog.db in the folder)." env:"ZAI_IMAGE_TO_CATALOG" placeholder:"CATALOG"`
	JSON      bool     `name:"json" help:"Print JSON."`
}

// Run copies the library of all owners. It returns errFailed if a file could not be
// copied, and errProblems if images were left out that are in progress.
func (c *imagesCopyCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	if c.ToStore == "" {
		return &usageError{"--to-store is missing", "Name the folder or the s3:// address to copy to with --to-store (ZAI_IMAGE_TO_STORE)."}
	}
	log := p.log()
	from, err := images.openExisting(ctx, p, log)
	if errors.Is(err, resources.ErrNotFound) {
		return errors.New("there is no library to copy")
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := c.target(p, log)
	if err != nil {
		return err
	}
	defer to.Close()
	if from.Catalog().Name() == to.Catalog().Name() {
		return &usageError{"--to-catalog names the catalog that is to be copied", "Name another one with --to-catalog (ZAI_IMAGE_TO_CATALOG)."}
	}
	progress, end := showProgress(p.Stderr, "copying")
	report, err := resources.Copy(ctx, from, to, progress)
	end()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d images; run the command again to continue", report.Images)
	}
	if err != nil {
		return fmt.Errorf("%w; the next run continues after %d images", err, report.Images)
	}
	if c.JSON {
		err = printJSON(p.Stdout, report, "  ")
	} else {
		p.printCopyReport(report)
	}
	switch {
	case err != nil:
		return err
	case len(report.Problems) > 0:
		return errFailed
	case len(report.Working) > 0:
		return errProblems
	}
	return nil
}

// target returns the library to copy to. It is set like the library of other commands,
// by flags and variables with TO in their names.
func (c *imagesCopyCommand) target(p *program, log *slog.Logger) (*resources.Library, error) {
	target := *p
	target.Env = func(name string) string {
		if setting, ok := strings.CutPrefix(name, "ZAI_IMAGE_"); ok {
			name = "ZAI_IMAGE_TO_" + setting
		}
		return p.Env(name)
	}
	library, err := target.library(libraryFlags{Store: c.ToStore, Catalog: c.ToCatalog}, label.Policy{}, log)
	if usage, ok := errors.AsType[*usageError](err); ok {
		names := strings.NewReplacer("--store", "--to-store", "--catalog", "--to-catalog", "ZAI_IMAGE_", "ZAI_IMAGE_TO_")
		return nil, &usageError{names.Replace(usage.problem), names.Replace(usage.hint)}
	}
	return library, err
}

// printCopyReport prints a line for each file that could not be copied and for each
// image that was left out, and the counts.
func (p *program) printCopyReport(r resources.CopyReport) {
	p.printProblems(r.Problems)
	for _, id := range r.Working {
		fmt.Fprintf(p.Stdout, "%s is in progress and was left out\n", plaintext.Line(id, 0))
	}
	fmt.Fprintf(p.Stdout, "%d images, %d of them new and %d brought up to date; %d files of %s copied.\n",
		r.Images, r.Added, r.Updated, r.Files, megabytes(r.Bytes))
	if n := len(r.Problems); n > 0 {
		fmt.Fprintf(p.Stdout, "Files that could not be copied: %d. Their entries were; images repair downloads them again if their links are known.\n", n)
	}
	if n := len(r.Working); n > 0 {
		fmt.Fprintf(p.Stdout, "Images that were left out because a server works on them: %d. Run the command again when they are done or the server is stopped.\n", n)
	}
	if !r.KeepLink {
		fmt.Fprintln(p.Stdout, "The target had images before and keeps its own key for download links: links to the copied images are no longer valid.")
	}
}
