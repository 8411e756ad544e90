package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/render"
)

type exportCommand struct {
	libraryFlags
	labelFlags
	Output     filePath `short:"o" required:"" help:"File to write, whose extension names the format: .png, .jpg, .webp or .ico; - is standard output. For --set, a folder or a name with an extension." placeholder:"FILE"`
	Size       string   `help:"WIDTHxHEIGHT in pixels (default: that of the image)." placeholder:"SIZE"`
	Fit        string   `help:"How other proportions fill --size: cover crops (the default), contain pads." placeholder:"NAME"`
	Background string   `help:"transparent removes a plain background; #rrggbb is the color of padding and of transparent pixels." placeholder:"COLOR"`
	Set        string   `help:"Write a set of files: favicon, app-icon or social." placeholder:"NAME"`
	Owner      string   `help:"Owner of the image; over HTTP, the name of the token (default: local)." placeholder:"NAME"`
	ID         string   `arg:"" help:"Id or zai-image:// URI."`
}

// Run makes files from an image of the library, without the network and free of charge. It
// prints the paths of the files and the lines that use a set, and details to stderr.
func (c *exportCommand) Run(ctx context.Context, p *program) error {
	labels, err := c.policy()
	if err != nil {
		return err
	}
	if err := c.check(isTerminal(p.Stdout)); err != nil {
		return err
	}
	images := imagesCommand{libraryFlags: c.libraryFlags, Owner: c.Owner, labels: labels}
	library, err := images.openExisting(ctx, p, p.errorLog())
	if err != nil {
		return err
	}
	defer library.Close()
	image, err := images.findSaved(ctx, library, c.ID)
	if err != nil {
		return err
	}
	targets, err := c.targets(image)
	if err != nil {
		return exportUsage(err)
	}
	specs := make([]render.Spec, len(targets))
	for i, target := range targets {
		specs[i] = target.spec
	}
	exports, err := library.Exports(ctx, image, specs...)
	if err != nil {
		return exportFailure(err)
	}
	for i, target := range targets {
		if err := p.writeExport(ctx, library, image, target, exports[i]); err != nil {
			return err
		}
	}
	if c.Set != "" {
		p.printMarkup(render.Set(c.Set), targets)
	}
	return nil
}

// check fails with a *usageError if the flags do not go together.
func (c *exportCommand) check(stdoutIsTerminal bool) error {
	switch {
	case c.Output == "":
		return &usageError{"-o names no file", "Name a file, such as hero.webp; for --set, a folder."}
	case c.Set != "" && c.Size != "":
		return &usageError{"--set and --size: the files of a set have their own sizes", "Leave one of them out."}
	case c.Set != "" && c.Output == toStdout:
		return &usageError{"-o -: a set is several files, which cannot be written to standard output", "Name a folder with -o."}
	case c.Output == toStdout && stdoutIsTerminal:
		return outputToTerminal()
	}
	return nil
}

// exportTarget is one file to write.
type exportTarget struct {
	path string // absolute, or toStdout
	name string // of a file of a set, relative to its folder, with slashes
	spec render.Spec
}

// targets returns the files to write. It fails with a *render.SpecError or a *usageError,
// also if a file could not be written. It creates nothing: the image may turn out to be one
// that the files cannot be made from.
func (c *exportCommand) targets(image resources.Image) ([]exportTarget, error) {
	if c.Output == toStdout {
		spec, err := render.NewSpec(c.originalFormat(image), c.Size, c.Fit, c.Background)
		return []exportTarget{{path: toStdout, spec: spec}}, err
	}
	path, err := c.Output.absolute()
	if err != nil {
		return nil, outputProblem(err)
	}
	named := c.fileTarget
	if c.Set != "" {
		named = c.setTargets
	}
	targets, err := named(path)
	if err != nil {
		return nil, err
	}
	for _, target := range targets {
		if err := checkCreatable(target.path); err != nil {
			return nil, outputProblem(err)
		}
	}
	return targets, nil
}

// fileTarget returns the file at a path, whose extension names the format.
func (c *exportCommand) fileTarget(path string) ([]exportTarget, error) {
	format, ok := render.FormatOf(filepath.Ext(path))
	if !ok {
		return nil, &usageError{fmt.Sprintf("-o %s: its extension names no format", c.Output), "Name a file that ends in .png, .jpg, .webp or .ico."}
	}
	spec, err := render.NewSpec(format, c.Size, c.Fit, c.Background)
	return []exportTarget{{path: path, spec: spec}}, err
}

// originalFormat returns the format of standard output: that of the image, or PNG if files
// of that format are not written or cannot be transparent.
func (c *exportCommand) originalFormat(image resources.Image) render.Format {
	format, ok := render.FormatOfType(image.MIMEType)
	if !ok || c.Background == render.Transparent {
		return render.PNG
	}
	return format
}

// setTargets returns the files of a set. The path is that of a folder, or a name with an
// extension that the files share.
func (c *exportCommand) setTargets(path string) ([]exportTarget, error) {
	folder, name := path, "."
	if info, err := os.Stat(path); !endsInSeparator(string(c.Output)) && filepath.Ext(path) != "" && (err != nil || !info.IsDir()) {
		folder, name = filepath.Dir(path), filepath.Base(path)
	}
	files, err := render.Set(c.Set).Files(name, c.Fit, c.Background)
	if err != nil {
		return nil, err
	}
	targets := make([]exportTarget, len(files))
	for i, file := range files {
		targets[i] = exportTarget{path: filepath.Join(folder, filepath.FromSlash(file.Name)), name: file.Name, spec: file.Spec}
	}
	return targets, nil
}

func endsInSeparator(path string) bool {
	return path != "" && os.IsPathSeparator(path[len(path)-1])
}

// outputProblem returns the *usageError for a file that cannot be written.
func outputProblem(err error) error {
	return &usageError{"-o: " + err.Error(), "Name a file in a folder that can be written to."}
}

// exportUsage returns the *usageError for flags that package render rejects.
func exportUsage(err error) error {
	if spec, ok := errors.AsType[*render.SpecError](err); ok {
		return &usageError{spec.Problem, spec.Hint}
	}
	return err
}

// exportFailure returns an error that says what to do about an image that a file could not
// be made from.
func exportFailure(err error) error {
	if spec, ok := errors.AsType[*render.SpecError](err); ok {
		return fmt.Errorf("%w\n%s", spec, spec.Hint)
	}
	if errors.Is(err, resources.ErrCorrupt) {
		const hint = "Run " + programName + " images repair, which fetches the image again if Z.AI still has it."
		return fmt.Errorf("%w\n%s", err, hint)
	}
	return err
}

// writeExport writes a file, records it and prints its path. Without the record, replace of
// export_image would not replace the file, so a failure is only reported.
func (p *program) writeExport(ctx context.Context, library *resources.Library, image resources.Image, target exportTarget, e resources.Export) error {
	if target.path == toStdout {
		if _, err := p.Stdout.Write(e.Data); err != nil {
			return err
		}
		fmt.Fprintln(p.Stderr, describeExport(e))
		return nil
	}
	recorded, err := overwrite(target.path, e.Data)
	if err != nil {
		return fmt.Errorf("failed to write the file of -o: %w", err)
	}
	fmt.Fprintln(p.Stdout, plaintext.Line(target.path, 0))
	fmt.Fprintln(p.Stderr, describeExport(e))
	if !recorded {
		return nil
	}
	if err := library.Catalog().RecordExport(context.WithoutCancel(ctx), resources.Exported{
		Path: target.path, ImageID: image.ID, Spec: e.Spec.String(), SHA256: e.SHA256, Bytes: int64(len(e.Data)), CreatedAt: time.Now(),
	}); err != nil {
		fmt.Fprintf(p.Stderr, "The file was written but could not be recorded in the catalog: %s\n", plaintext.Text(err.Error()))
	}
	return nil
}

// describeExport describes a file on one line.
func describeExport(e resources.Export) string {
	parts := []string{e.MIMEType, fmt.Sprintf("%dx%d", e.Width, e.Height), fmt.Sprintf("%d KB", (len(e.Data)+1023)/1024)}
	if e.Enlarged {
		parts = append(parts, "scaled up")
	}
	if e.Cleared > 0 {
		parts = append(parts, fmt.Sprintf("%.0f %% of the pixels became transparent", 100*e.Cleared))
	}
	if e.Signed {
		parts = append(parts, "the unchanged original without a label, because it has Content Credentials")
	}
	return strings.Join(parts, ", ")
}

// printMarkup prints the lines that use the files of a set, with their names relative to the
// working directory, or to the folder of the set if they are elsewhere.
func (p *program) printMarkup(set render.Set, targets []exportTarget) {
	names := make([]string, len(targets))
	for i, target := range targets {
		names[i] = target.name
		if name, err := filepath.Rel(p.Dir, target.path); err == nil && filepath.IsLocal(name) {
			names[i] = filepath.ToSlash(name)
		}
	}
	if markup := set.Markup(names); markup != "" {
		fmt.Fprintf(p.Stdout, "\n%s\n", strings.TrimRight(markup, "\n"))
	}
}
