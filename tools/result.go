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

// maxResult is the largest result in bytes of JSON, base64 included: hosts
// truncate or reject results from 1 MiB on.
const maxResult = 996_147 // 0.95 MiB

// resultReserve is kept free for what is added to a result last: notes about
// images, and the JSON around the content.
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

// imagesResult returns the result of a call that made or found images. The note
// is added to the text unless it is empty. The result is a failure only if all
// images failed.
func (t *tools) imagesResult(ctx context.Context, caller Caller, images []resources.Image, note string) *mcp.CallToolResult {
	built := t.buildImagesResult(ctx, caller, images, note)
	// Last, so that a panic before leaves the images undelivered.
	caller.Delivery.Begin(finalIDs(images)...)
	return built
}

func (t *tools) buildImagesResult(ctx context.Context, caller Caller, images []resources.Image, note string) *mcp.CallToolResult {
	if allFailed(images) {
		failure := aggregateFailure(images)
		if note != "" {
			failure = new(*failure)
			failure.Message = note + " " + failure.Message
		}
		return failureResult(failure)
	}
	structured := t.structuredResult(ctx, caller, images)
	var links []mcp.Content
	for _, i := range images {
		if i.State == resources.Saved {
			links = append(links, resourceLink(i))
		}
	}
	lines := []string{summaryText(images, structured)}
	structured.Notes = workingNotes(images)
	if note != "" {
		lines, structured.Notes = append(lines, note), append(structured.Notes, note)
	}
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

// finalIDs returns the ids of the images that the call delivers: those whose
// result is final. One that may still be fetched stays joinable for a repeat of
// the call.
func finalIDs(images []resources.Image) []string {
	var ids []string
	for _, i := range images {
		recoverable := i.Working() || i.State == resources.Answered && i.UpstreamURL != "" || i.State == resources.Unknown && i.TaskID != ""
		if i.ID != "" && !i.Delivered && !recoverable {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// aggregateFailure returns one failure for images that all failed: the first
// that cost money, with the ids of all that did; without one, the first.
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
	return jobs.Describe(errors.New("failed without a reason"))
}

// jsonSize returns the size of a value in the message, escapes included.
func jsonSize(value any) int {
	b, err := json.Marshal(value)
	if err != nil {
		return maxResult
	}
	return len(b)
}

// structuredResult returns the structured content about images.
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

// workingNotes returns a note for each image that is not done.
func workingNotes(images []resources.Image) (notes []string) {
	for _, i := range images {
		if i.Status() == resources.StatusWorking {
			notes = append(notes, fmt.Sprintf("Image %s is still being made; call get_image with this id in a while.", i.ID))
		}
	}
	return notes
}
