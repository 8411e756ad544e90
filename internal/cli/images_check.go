package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

type imagesCheckCommand struct {
	ReadData bool `help:"Read every file and compare it with what was saved."`
	JSON     bool `name:"json" help:"Print JSON."`
}

// Run prints the problems of the library for all owners. It returns errProblems
// if there are any.
func (c *imagesCheckCommand) Run(ctx context.Context, p *program, images *imagesCommand) error {
	library, err := images.open(ctx, p, p.log())
	if err != nil {
		return err
	}
	defer library.Close()
	report, err := p.checkLibrary(ctx, library, c.ReadData)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(p.Stdout, report, "  ")
	} else {
		p.printReport(report)
	}
	if err == nil && len(report.Problems) > 0 {
		return errProblems
	}
	return err
}

// checkLibrary checks a library and shows progress. It fails if the library has
// no catalog.
func (p *program) checkLibrary(ctx context.Context, library *resources.Library, readData bool) (resources.Report, error) {
	if !library.Exists() {
		return resources.Report{}, errors.New("there is no catalog; if the folder contains images, images reindex creates one from them")
	}
	progress, end := showProgress(p.Stderr, "checking")
	defer end()
	return library.Check(ctx, readData, progress)
}

// printReport prints a line for each problem, and the counts.
func (p *program) printReport(r resources.Report) {
	p.printProblems(r.Problems)
	fmt.Fprintf(p.Stdout, "%d images of %s checked: ", r.Images, megabytes(r.Bytes))
	switch n := len(r.Problems); n {
	case 0:
		fmt.Fprintln(p.Stdout, "no problems.")
	case 1:
		fmt.Fprintln(p.Stdout, "1 problem.")
	default:
		fmt.Fprintf(p.Stdout, "%d problems.\n", n)
	}
	if r.Exports > 0 {
		fmt.Fprintf(p.Stdout, "%d exports of %s are in the cache.\n", r.Exports, megabytes(r.ExportBytes))
	}
	if r.Working > 0 {
		fmt.Fprintf(p.Stdout, "%d more are in progress.\n", r.Working)
	}
	if r.Unknown > 0 {
		fmt.Fprintf(p.Stdout, "%d were requested but got no response: they may have been billed, and there is no file.\n", r.Unknown)
	}
}

// printProblems prints a line for each problem.
func (p *program) printProblems(problems []resources.Problem) {
	table := tabwriter.NewWriter(p.Stdout, 0, 4, 2, ' ', 0)
	for _, problem := range problems {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", problem.Kind, problem.ID, plaintext.Line(problem.Path, 0), plaintext.Line(problem.Detail, 0))
	}
	_ = table.Flush() // if stdout fails, the error cannot be printed
}
