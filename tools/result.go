package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// maxResult is the largest result in bytes of JSON, base64 included: hosts cut
// or refuse results from 1 MiB on.
const maxResult = 996_147 // 0.95 MiB

// OutcomeOK is the outcome of a call that did not fail.
const OutcomeOK = "ok"

// Outcome sums a result up in a word: OutcomeOK or the kind of failure.
func Outcome(r *mcp.CallToolResult) string {
	switch {
	case r == nil:
		return jobs.KindInternal
	case !r.IsError:
		return OutcomeOK
	}
	if failed, ok := r.StructuredContent.(result); ok && failed.Error != nil {
		return failed.Error.Kind
	}
	return jobs.KindInternal
}

// Failed is the result of a call that did not get as far as its tool.
func ErrorResult(err error) *mcp.CallToolResult { return failureResult(jobs.Describe(err)) }

// failed is the result of a call that made nothing.
func (t *tools) failed(err error) *mcp.CallToolResult {
	failure := jobs.Describe(err)
	var argument *argumentError
	switch {
	case errors.As(err, &argument):
		failure = &resources.Failure{Kind: string(zai.KindInvalidArgument), Message: argument.message, Hint: argument.hint}
	case failure.Kind == jobs.KindInternal:
		t.Log.Error("tool failed", "error", err)
	}
	return failureResult(failure)
}

func failureResult(f *resources.Failure) *mcp.CallToolResult {
	return &mcp.CallToolResult{
		IsError:           true,
		Content:           []mcp.Content{mcp.NewTextContent(fmt.Sprintf("%s %s (kind: %s)", f.Message, f.Hint, f.Kind))},
		StructuredContent: result{Error: f},
	}
}

// images is the result of a call about images, with a note to the text
// unless it is empty. It is a failure only when none of them is there or on
// its way.
func (t *tools) imagesResult(ctx context.Context, rows []resources.Image, note string) (made *mcp.CallToolResult) {
	// At the very end: what fails before has not given the images to anybody.
	defer func() {
		if made != nil {
			t.beginDelivery(ctx, rows)
		}
	}()
	failures := 0
	for _, row := range rows {
		if status := row.Status(); status == resources.StatusFailed || status == resources.StatusUnknown {
			failures++
		}
	}
	if failures == len(rows) && failures > 0 {
		failure := aggregateFailure(rows)
		if note != "" {
			failure = new(*failure)
			failure.Message = note + " " + failure.Message
		}
		return failureResult(failure)
	}
	structured := t.structured(ctx, rows)
	var links []mcp.Content
	for _, row := range rows {
		if row.State == resources.Saved {
			links = append(links, t.link(row))
		}
	}
	lines := []string{t.text(rows, structured)}
	structured.Notes = stillWorking(rows)
	if note != "" {
		lines, structured.Notes = append(lines, note), append(structured.Notes, note)
	}
	room := maxResult - jsonSize(structured) - jsonSize(links) - jsonSize(lines) - 4096
	images, stepped := t.images(ctx, rows, room)
	lines, structured.Notes = append(lines, stepped...), append(structured.Notes, stepped...)
	content := []mcp.Content{mcp.NewTextContent(strings.Join(lines, "\n"))}
	// One image and its link stand together.
	for i := range links {
		if images[i] != nil {
			content = append(content, *images[i])
		}
		content = append(content, links[i])
	}
	return &mcp.CallToolResult{Content: content, StructuredContent: structured}
}

// handOut notes what the answer tells of images of which nothing more will
// come. One that may still be brought home waits for the same call to be made
// again.
func (t *tools) beginDelivery(ctx context.Context, rows []resources.Image) {
	var ids []string
	for _, row := range rows {
		comes := row.Working() || row.State == resources.Answered && row.UpstreamURL != "" || row.State == resources.Unknown && row.TaskID != ""
		if row.ID != "" && !row.Delivered && !comes {
			ids = append(ids, row.ID)
		}
	}
	if len(ids) > 0 {
		t.BeginDelivery(ctx, ids)
	}
}

// worst is what to tell when several images failed: the one that cost money,
// with the ids of all that did, else the first.
func aggregateFailure(rows []resources.Image) *resources.Failure {
	var paid *resources.Failure
	var others []string
	for _, row := range rows {
		switch {
		case row.Failure == nil || !row.Charged:
		case paid == nil:
			paid = new(*row.Failure)
			if !strings.Contains(paid.Hint, row.ID) {
				paid.Hint += " The image's id is " + row.ID + "."
			}
		default:
			others = append(others, row.ID)
		}
	}
	if paid != nil {
		if len(others) > 0 {
			paid.Hint += " The same goes for " + strings.Join(others, ", ") + "."
		}
		return paid
	}
	for _, row := range rows {
		if row.Failure != nil {
			return row.Failure
		}
	}
	return jobs.Describe(errors.New("failed without a reason"))
}

// jsonSize is what a value takes in the message, escapes included.
func jsonSize(value any) int {
	b, err := json.Marshal(value)
	if err != nil {
		return maxResult
	}
	return len(b)
}

func (t *tools) structured(ctx context.Context, rows []resources.Image) result {
	r := result{Sandbox: new(t.Sandbox && len(rows) == 0)}
	for _, row := range rows {
		*r.Sandbox = *r.Sandbox || row.Sandbox
		r.Images = append(r.Images, t.Library.Entry(ctx, row, t.Reach))
	}
	spent, err := t.Library.SpentToday(ctx, t.Owner(ctx), t.Sandbox)
	if err != nil {
		t.Log.WarnContext(ctx, "spending is not known", "error", err)
		return r
	}
	r.SpentTodayUSD = &spent
	return r
}

func (t *tools) link(row resources.Image) mcp.ResourceLink {
	size := row.Bytes
	link := mcp.NewResourceLink(resources.URI(row.ID, resources.Original), path.Base(row.Path),
		fmt.Sprintf("The original image, %dx%d, %s", row.Width, row.Height, bytesText(row.Bytes)), row.MIMEType)
	link.Size = &size
	return link
}

// stillWorking says what to do about images that come later.
func stillWorking(rows []resources.Image) (notes []string) {
	for _, row := range rows {
		if row.Status() == resources.StatusWorking {
			notes = append(notes, fmt.Sprintf("Image %s is still being made; call get_image with this id in a while.", row.ID))
		}
	}
	return notes
}

// text must be enough for a host that drops everything else.
func (t *tools) text(rows []resources.Image, r result) string {
	var b strings.Builder
	cost, saved := 0.0, 0
	for _, row := range rows {
		if row.Charged {
			cost += row.CostUSD()
		}
		if row.State == resources.Saved {
			saved++
		}
	}
	fmt.Fprintf(&b, "%d of %d images saved, cost $%.3f", saved, len(rows), cost)
	if r.SpentTodayUSD != nil {
		fmt.Fprintf(&b, " ($%.3f spent today)", *r.SpentTodayUSD)
	}
	b.WriteString(".")
	if *r.Sandbox {
		b.WriteString(" This is the sandbox: drawn locally, nothing was really charged.")
	}
	for i, row := range rows {
		fmt.Fprintf(&b, "\n%d. ", i+1)
		line(&b, row, r.Images[i])
	}
	return b.String()
}

// line tells of one image.
func line(b *strings.Builder, row resources.Image, entry resources.Entry) {
	switch row.Status() {
	case resources.StatusSaved:
		fmt.Fprintf(b, "id %s, %dx%d, %s, %s, %s %s", row.ID, row.Width, row.Height, row.MIMEType, bytesText(row.Bytes), row.Model, row.Quality)
		if entry.Path != "" {
			fmt.Fprintf(b, "\n   file: %s", entry.Path)
		}
		if entry.DownloadURL != "" {
			fmt.Fprintf(b, "\n   download: %s (until %s)", entry.DownloadURL, entry.DownloadExpiresAt)
		}
		fmt.Fprintf(b, "\n   resource: %s", resources.URI(row.ID, resources.Original))
		if asked := fmt.Sprintf("%dx%d", row.Width, row.Height); asked != row.Size {
			fmt.Fprintf(b, "\n   note: %s was asked for", row.Size)
		}
		for _, f := range row.ContentFilter {
			fmt.Fprintf(b, "\n   note: content filter remark, role %s, level %d (0 is most severe)", f.Role, f.Level)
		}
	case resources.StatusWorking:
		fmt.Fprintf(b, "id %s is still being made, $%.3f; call get_image with this id in a while. It will be %s",
			row.ID, row.CostUSD(), resources.URI(row.ID, resources.Original))
	default:
		b.WriteString("not made")
		if row.ID != "" {
			fmt.Fprintf(b, " (id %s)", row.ID)
		}
		if f := row.Failure; f != nil {
			fmt.Fprintf(b, ": %s %s (kind: %s)", f.Message, f.Hint, f.Kind)
		}
	}
}

func bytesText(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KB", (n+1023)/1024)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}
