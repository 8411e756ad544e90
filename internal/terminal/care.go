package terminal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

// ErrProblems says that the library is not sound; what is wrong is told.
var ErrProblems = errors.New("the library has problems")

// Care looks after the whole library, of all owners.
type Maintenance struct {
	Library    *resources.Library
	Out        io.Writer // results
	Messages   io.Writer // progress
	IsTerminal bool      // Messages is one
	JSON       bool      // results as one JSON document
}

// Check tells what is wrong. It fails with ErrProblems when something is.
func (c Maintenance) Check(ctx context.Context, readData bool) error {
	report, err := c.check(ctx, readData)
	if err != nil {
		return err
	}
	if c.JSON {
		err = c.document(report)
	} else {
		c.problems(report.Problems)
		c.summary(report)
	}
	if err == nil && len(report.Problems) > 0 {
		return ErrProblems
	}
	return err
}

func (c Maintenance) check(ctx context.Context, readData bool) (resources.Report, error) {
	if !c.Library.Exists() {
		return resources.Report{}, errors.New("there is no catalog; if there are images, images reindex makes one of them")
	}
	progress, end := c.progress("checking")
	defer end()
	return c.Library.Check(ctx, readData, progress)
}

func (c Maintenance) problems(list []resources.Problem) {
	table := tabwriter.NewWriter(c.Out, 0, 4, 2, ' ', 0)
	for _, p := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.Kind, p.ID, plaintext.Line(p.Path, 0), plaintext.Line(p.Detail, 0))
	}
	_ = table.Flush() // what cannot be printed cannot be reported either
}

func (c Maintenance) summary(r resources.Report) {
	fmt.Fprintf(c.Out, "%d images of %.1f MB checked: ", r.Images, float64(r.Bytes)/1e6)
	switch n := len(r.Problems); n {
	case 0:
		fmt.Fprintln(c.Out, "no problems.")
	case 1:
		fmt.Fprintln(c.Out, "1 problem.")
	default:
		fmt.Fprintf(c.Out, "%d problems.\n", n)
	}
	if r.Working > 0 {
		fmt.Fprintf(c.Out, "%d more are being made.\n", r.Working)
	}
	if r.Unknown > 0 {
		fmt.Fprintf(c.Out, "%d were asked for without an answer: they may have been billed, and there is no image.\n", r.Unknown)
	}
}

// repaired is what Repair did about one problem.
type repaired struct {
	resources.Problem
	Done  string `json:"done,omitempty"`  // "" when there was nothing to do
	Error string `json:"error,omitempty"` // why it could not be done
}

// Repair mends what it can: first the folder, then it brings home what is paid
// for. It fails with ErrProblems when something remains.
func (c Maintenance) Repair(ctx context.Context, pipeline *jobs.Pipeline, readData bool) error {
	before, err := c.check(ctx, readData)
	if err != nil {
		return err
	}
	if allMissing(before) {
		return errors.New("every file is missing: is the folder the right one, and is its disk mounted? Nothing was changed")
	}
	done := c.mend(ctx, before.Problems)
	previews, err := c.Library.SweepPreviews(ctx)
	if err != nil {
		return err
	}
	if err := c.fetch(ctx, pipeline); err != nil {
		return err
	}
	after, err := c.check(ctx, readData)
	if err != nil {
		return err
	}
	if c.JSON {
		err = c.document(struct {
			Repaired []repaired       `json:"repaired"`
			Now      resources.Report `json:"now"`
		}{done, after})
	} else {
		for _, r := range done {
			if r.Done != "" || r.Error != "" {
				fmt.Fprintf(c.Out, "%s %s %s: %s\n", r.Kind, r.ID, plaintext.Line(r.Path, 0), plaintext.Line(cmp.Or(r.Error, r.Done), 0))
			}
		}
		if previews > 0 {
			fmt.Fprintf(c.Out, "%d previews of images that are not in the library deleted\n", previews)
		}
		c.problems(after.Problems)
		c.summary(after)
	}
	if err == nil && len(after.Problems) > 0 {
		return ErrProblems
	}
	return err
}

// allMissing tells a folder that is not the library's.
func allMissing(r resources.Report) bool {
	missing := 0
	for _, p := range r.Problems {
		if p.Kind == resources.Missing {
			missing++
		}
	}
	return missing > 1 && missing == r.Images
}

// mend repairs what is wrong in the folder.
func (c Maintenance) mend(ctx context.Context, problems []resources.Problem) []repaired {
	done := make([]repaired, 0, len(problems))
	for _, p := range problems {
		r := repaired{Problem: p}
		var err error
		if r.Done, err = c.Library.Repair(ctx, p); err != nil {
			r.Done, r.Error = "", err.Error()
		}
		done = append(done, r)
	}
	return done
}

// fetch brings home what can be fetched.
func (c Maintenance) fetch(ctx context.Context, pipeline *jobs.Pipeline) error {
	list, err := pipeline.Recover(ctx, true)
	if err != nil {
		return err
	}
	progress, end := c.progress("fetching")
	defer end()
	for n, job := range list {
		select {
		case <-job.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
		if row := job.Image(); row.State == resources.Saved && !c.JSON {
			fmt.Fprintf(c.Out, "fetched %s %s\n", row.ID, plaintext.Line(row.Path, 0))
		}
		progress(n+1, len(list))
	}
	return nil
}

// Reindex takes in files that the catalog does not know. It fails with
// ErrProblems when one of them cannot be used.
func (c Maintenance) Reindex(ctx context.Context, owner string) error {
	progress, end := c.progress("reading")
	list, err := c.Library.Reindex(ctx, owner, progress)
	end()
	if err != nil {
		return err
	}
	failed := 0
	for _, a := range list {
		if !a.OK {
			failed++
		}
		if !c.JSON {
			fmt.Fprintf(c.Out, "%s %s\n", plaintext.Line(a.Path, 0), plaintext.Line(a.Note, 0))
		}
	}
	if c.JSON {
		if list == nil {
			list = []resources.Adopted{}
		}
		err = c.document(list)
	} else {
		fmt.Fprintf(c.Out, "%d files taken in, %d not.\n", len(list)-failed, failed)
	}
	if err == nil && failed > 0 {
		return ErrProblems
	}
	return err
}

// Spend tells what was spent, by day, owner and model.
func (c Maintenance) Spend(ctx context.Context, owner string, since time.Time) error {
	list, err := c.Library.Spending(ctx, owner, since)
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []resources.Spending{}
		}
		return c.document(list)
	}
	sum, play := 0.0, 0.0
	table := tabwriter.NewWriter(c.Out, 0, 4, 2, ' ', 0)
	for _, s := range list {
		model := s.Model
		if s.Sandbox {
			model += " (sandbox)"
			play += s.CostUSD
		} else {
			sum += s.CostUSD
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t$%.3f\n", s.Day, plaintext.Line(s.Owner, 0), plaintext.Line(model, 0), s.Images, s.CostUSD)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "$%.3f since %s", sum, since.UTC().Format(time.DateOnly))
	if play > 0 {
		fmt.Fprintf(c.Out, ", and $%.3f of the sandbox's play money", play)
	}
	_, err = fmt.Fprintln(c.Out, ".")
	return err
}

func (c Maintenance) document(value any) error { return writeJSON(c.Out, value, "  ") }

// progress shows how far long work is: as a bar on a terminal, else as a line
// now and then.
func (c Maintenance) progress(doing string) (step func(done, total int), end func()) {
	if c.IsTerminal {
		bar := progressbar.NewOptions(1, progressbar.OptionSetWriter(c.Messages), progressbar.OptionSetWidth(24), progressbar.OptionShowCount(),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription(doing))
		return func(done, total int) {
			bar.ChangeMax(max(total, 1))
			_ = bar.Set(done) // a bar that cannot be drawn is none
		}, func() { _ = bar.Finish() }
	}
	return newLines(c.Messages, doing).step, func() {}
}
