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
)

// maxResult is the size of the largest result in bytes of JSON, base64
// included. Hosts truncate or reject results of 1 MiB and more.
const maxResult = 996_147 // 0.95 MiB

// resultReserve is the part of maxResult, in bytes, that is reserved for what
// is added last: notes about images, and the JSON around the content.
const resultReserve = 4096

// OutcomeOK is the outcome of a call that did not fail.
const OutcomeOK = "ok"

// Outcome returns OutcomeOK or the kind of failure.
func Outcome(r *mcp.CallToolResult) string {
	switch {
	case r == nil:
		return string(resources.KindInternal)
	case !r.IsError:
		return OutcomeOK
	}
	if failed, ok := r.StructuredContent.(result); ok && failed.Error != nil {
		return string(failed.Error.Kind)
	}
	return string(resources.KindInternal)
}

// ErrorResult returns the result of a call that failed.
func ErrorResult(err error) *mcp.CallToolResult { return failureResult(jobs.Describe(err)) }

func failureResult(f *resources.Failure) *mcp.CallToolResult {
	return &mcp.CallToolResult{
		IsError:           true,
		Content:           []mcp.Content{mcp.NewTextContent(fmt.Sprintf("%s %s (kind: %s)", f.Message, f.Hint, f.Kind))},
		StructuredContent: result{Error: f},
	}
}

// imagesResult returns the result of a call that generated or found images, and
// adds the images to the caller's delivery. names are those of the images' files
// in the project; it is empty if there are none to write. A note that is not
// empty is added to the text. The result is a failure only if all images failed.
func (t *tools) imagesResult(ctx context.Context, caller Caller, images []resources.Image, names []string, note string) *mcp.CallToolResult {
	built := t.buildImagesResult(ctx, caller, images, names, note)
	// Begin comes last, so that the images stay undelivered if an earlier step panics.
	caller.Delivery.Begin(finalIDs(images)...)
	return built
}

func (t *tools) buildImagesResult(ctx context.Context, caller Caller, images []resources.Image, names []string, note string) *mcp.CallToolResult {
	if allFailed(images) {
		failure := aggregateFailure(images)
		if note != "" {
			failure = new(*failure)
			failure.Message = note + " " + failure.Message
		}
		return failureResult(failure)
	}
	files := t.saveFiles(ctx, images, names)
	structured := t.structuredResult(ctx, caller, images)
	for n, file := range files {
		if file != nil {
			structured.Images[n].SavedAs = file.written.Name
		}
	}
	var links []mcp.Content
	for _, i := range images {
		if i.State == resources.Saved {
			links = append(links, resourceLink(i))
		}
	}
	lines := []string{summaryText(images, names, structured)}
	structured.Notes = workingNotes(images, names)
	notes := fileNotes(images, files, t.showsPaths())
	if note != "" {
		notes = append(notes, note)
	}
	lines, structured.Notes = append(lines, notes...), append(structured.Notes, notes...)
	room := maxResult - jsonSize(structured) - jsonSize(links) - jsonSize(lines) - resultReserve
	inlined, notes := t.inlineImages(ctx, caller, images, room)
	lines, structured.Notes = append(lines, notes...), append(structured.Notes, notes...)
	content := []mcp.Content{mcp.NewTextContent(strings.Join(lines, "\n"))}
	// Each image is followed by its link.
	for n := range links {
		if inlined[n] != nil {
			content = append(content, *inlined[n])
		}
		content = append(content, links[n])
	}
	return &mcp.CallToolResult{Content: content, StructuredContent: structured}
}

func allFailed(images []resources.Image) bool {
	for _, i := range images {
		if status := i.Status(); status != resources.StatusFailed && status != resources.StatusUnknown {
			return false
		}
	}
	return len(images) > 0
}

// finalIDs returns the ids of the images that the call delivers: those with a
// final result that was not delivered before. An image that may still be
// fetched is left out, so that a repeated call can join it.
func finalIDs(images []resources.Image) []string {
	var ids []string
	for _, i := range images {
		if i.ID != "" && !i.Delivered && !i.Recoverable() {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// aggregateFailure returns one failure for images that all failed: the first
// one that was charged, with the ids of all that were, or the first one if none
// was.
func aggregateFailure(images []resources.Image) *resources.Failure {
	var paid *resources.Failure
	var others []string
	for _, i := range images {
		switch {
		case i.Failure == nil || !i.Charged:
		case paid == nil:
			paid = new(*i.Failure)
			if !strings.Contains(paid.Hint, i.ID) {
				paid.Hint += " The image's id is " + i.ID + "."
			}
		default:
			others = append(others, i.ID)
		}
	}
	if paid != nil {
		if len(others) > 0 {
			paid.Hint += " This also applies to " + strings.Join(others, ", ") + "."
		}
		return paid
	}
	for _, i := range images {
		if i.Failure != nil {
			return i.Failure
		}
	}
	return jobs.Describe(errors.New("an image failed without a recorded reason"))
}

// jsonSize returns the size of a value as JSON, in bytes.
func jsonSize(value any) int {
	b, err := json.Marshal(value)
	if err != nil {
		return maxResult
	}
	return len(b)
}

// structuredResult returns the structured content for images.
func (t *tools) structuredResult(ctx context.Context, caller Caller, images []resources.Image) result {
	r := result{Sandbox: new(t.Sandbox && len(images) == 0)}
	for _, i := range images {
		*r.Sandbox = *r.Sandbox || i.Sandbox
		r.Images = append(r.Images, t.Library.Entry(ctx, i, t.Locator))
	}
	spent, err := t.Library.SpentToday(ctx, caller.Owner, t.Sandbox)
	if err != nil {
		t.Log.WarnContext(ctx, "failed to read today's spending", "error", err)
		return r
	}
	r.SpentTodayUSD = &spent
	return r
}

func resourceLink(i resources.Image) mcp.ResourceLink {
	link := mcp.NewResourceLink(resources.URI(i.ID, resources.Original), path.Base(i.Path),
		fmt.Sprintf("The original image, %dx%d, %s", i.Width, i.Height, formatBytes(i.Bytes)), i.MIMEType)
	link.Size = new(i.Bytes)
	return link
}

// workingNotes returns a note for each image that is not done. names are those of
// the images' files in the project, if there are any.
func workingNotes(images []resources.Image, names []string) (notes []string) {
	for n, i := range images {
		if i.Status() == resources.StatusWorking {
			notes = append(notes, fmt.Sprintf("Image %s is still being made; call get_image with this id%s in a while.", i.ID, andSaveAs(names, n)))
		}
	}
	return notes
}

// andSaveAs returns the part of a sentence that says which save_as to pass for an
// image, "" if none was asked for.
func andSaveAs(names []string, n int) string {
	if n >= len(names) {
		return ""
	}
	return fmt.Sprintf(" and save_as %q", names[n])
}
