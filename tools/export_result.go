package tools

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/render"
)

// exportFiles makes files from a saved image, writes them into the project if save_as is
// given, and returns the result of the call. It fails if no file was made or written.
func (t *tools) exportFiles(ctx context.Context, caller Caller, i resources.Image, targets []exportTarget, a exportArguments) (*mcp.CallToolResult, error) {
	var specs []render.Spec
	for _, target := range targets {
		specs = append(specs, target.spec)
	}
	if small, ok := resources.PreviewSpec(i, specs[0]); ok && cmp.Or(caller.Inline, t.Inline) == InlinePreview {
		specs = append(specs, small) // exportPreview finds it in the cache
	}
	exports, err := t.Library.Exports(ctx, i, specs...)
	if err != nil {
		return nil, specError(err)
	}
	files := make([]*projectFile, len(targets))
	written := 0
	for n, target := range targets {
		files[n] = &projectFile{wanted: target.name, export: exports[n]}
		if a.SaveAs == "" {
			continue
		}
		if t.writeFile(ctx, i, files[n], a.Replace); files[n].err == nil {
			written++
		}
	}
	if a.SaveAs != "" && written == 0 {
		return nil, files[0].err
	}
	built := t.exportResult(ctx, caller, i, files, a)
	caller.Delivery.Begin(finalIDs([]resources.Image{i})...) // last, as in imagesResult
	return built, nil
}

// exportResult returns the result of a call that made files from a saved image.
func (t *tools) exportResult(ctx context.Context, caller Caller, i resources.Image, files []*projectFile, a exportArguments) *mcp.CallToolResult {
	structured := t.structuredResult(ctx, caller, nil)
	*structured.Sandbox = i.Sandbox
	lines := []string{exportSummary(i, files, a)}
	content := []mcp.Content{}
	for n, file := range files {
		if file.err != nil {
			lines = append(lines, fmt.Sprintf("%d. %s was not written: %s", n+1, file.wanted, describeFileError(file.err).Message))
			continue
		}
		entry := t.exportEntry(ctx, i, file)
		structured.Images = append(structured.Images, entry)
		lines = append(lines, fmt.Sprintf("%d. %s", n+1, exportLine(file, entry)))
		content = append(content, exportLink(file, entry))
	}
	structured.Notes = exportNotes(i, files, a)
	switch {
	case a.SaveAs != "":
	case t.Project != nil:
		structured.Notes = append(structured.Notes, "Nothing was written into the project: pass save_as for that.")
	case structured.Images[0].DownloadURL == "":
		structured.Notes = append(structured.Notes, "This is only a resource, because there is no project to write files into: "+t.NoProject+".")
	}
	room := maxResult - jsonSize(structured) - jsonSize(content) - jsonSize(lines) - jsonSize(structured.Notes) - resultReserve
	preview, note := t.exportPreview(ctx, caller, i, files[0].export, room)
	if note != "" {
		structured.Notes = append(structured.Notes, note)
	}
	if preview != nil {
		content = append([]mcp.Content{*preview}, content...)
	}
	text := mcp.NewTextContent(strings.Join(append(lines, structured.Notes...), "\n"))
	return &mcp.CallToolResult{Content: append([]mcp.Content{text}, content...), StructuredContent: structured}
}

// exportSummary returns the first line of the text of a result.
func exportSummary(i resources.Image, files []*projectFile, a exportArguments) string {
	made := 0
	for _, file := range files {
		if file.err == nil {
			made++
		}
	}
	text := fmt.Sprintf("Made from image %s, free of charge: ", i.ID)
	if a.Set != "" {
		text += fmt.Sprintf("%d of %d files of the set %s", made, len(files), a.Set)
	} else {
		text += "1 file"
	}
	if a.SaveAs != "" {
		text += ", written into the project"
	}
	if i.Sandbox {
		text += ". The image is from the sandbox: drawn locally, not by a model"
	}
	return text + "."
}

// exportLine describes a file in the text of a result.
func exportLine(file *projectFile, entry resources.Entry) string {
	text := fmt.Sprintf("%s (%s)", file.name(), describeFile(file.export))
	if entry.SavedAs != "" {
		text = "saved as " + text
	}
	if entry.Path != "" {
		text += "\n   file: " + entry.Path
	}
	if entry.DownloadURL != "" {
		text += fmt.Sprintf("\n   download: %s (until %s)", entry.DownloadURL, entry.DownloadExpiresAt)
	}
	return text + "\n   resource: " + entry.URI
}

// name returns the name of the file, or what it is called if it is not in the project.
func (f *projectFile) name() string {
	if f.written.Name != "" {
		return f.written.Name
	}
	return f.wanted
}

// exportEntry returns the structured description of a file.
func (t *tools) exportEntry(ctx context.Context, i resources.Image, file *projectFile) resources.Entry {
	i.Prompt = plaintext.Truncate(i.Prompt, maxListedPrompt)
	entry := t.Library.Entry(ctx, i, resources.Locator{})
	e := file.export
	entry.URI, entry.PreviewURI, entry.CostUSD = resources.URI(i.ID, resources.ExportView(e.Spec)), "", 0
	entry.MIMEType, entry.Width, entry.Height, entry.Bytes, entry.SHA256 = e.MIMEType, e.Width, e.Height, int64(len(e.Data)), e.SHA256
	entry.SavedAs = file.written.Name
	if t.showsPaths() {
		entry.Path = file.written.Path
	}
	if links, ok := t.Locator.Links.(resources.ExportLinker); ok {
		link, expires, err := links.ExportURL(ctx, i, e.Spec)
		if err != nil {
			t.Log.WarnContext(ctx, "failed to make a download link", "id", i.ID, "error", err)
			return entry
		}
		entry.DownloadURL, entry.DownloadExpiresAt = link, expires.Format(time.RFC3339)
	}
	return entry
}

func exportLink(file *projectFile, entry resources.Entry) mcp.ResourceLink {
	link := mcp.NewResourceLink(entry.URI, path.Base(file.name()), describeFile(file.export), entry.MIMEType)
	link.Size = new(entry.Bytes)
	return link
}

// exportNotes returns what is to be known about the files, and the lines to paste.
func exportNotes(i resources.Image, files []*projectFile, a exportArguments) (notes []string) {
	var names []string
	cleared := 0.0
	for _, file := range files {
		names = append(names, file.written.Name)
		cleared = max(cleared, file.export.Cleared)
		if file.err != nil {
			f := describeFileError(file.err)
			notes = append(notes, strings.TrimSpace(fmt.Sprintf("%s was not written: %s %s", file.wanted, f.Message, f.Hint)))
			continue
		}
		if place := file.place(); place != "" && a.SaveAs != "" {
			notes = append(notes, "Saved as "+file.written.Name+place+".")
		}
		if file.written.Replaced {
			notes = append(notes, file.written.Name+" was replaced.")
		}
		if file.export.Signed {
			notes = append(notes, file.name()+" "+signedNote)
		}
		if file.export.Enlarged {
			notes = append(notes, fmt.Sprintf("%s was scaled up from the original of %dx%d, so it shows no more detail.", file.name(), i.Width, i.Height))
		}
	}
	if cleared > 0 {
		notes = append(notes, fmt.Sprintf("%.0f %% of the pixels became transparent.", 100*cleared))
	}
	switch {
	case a.SaveAs == "":
		return notes
	case a.Set == "":
		return append(notes, pasteLines(names[0], resources.AltText(i.Prompt), files[0].export.Width, files[0].export.Height)...)
	}
	if markup := render.Set(a.Set).Markup(names); markup != "" {
		notes = append(notes, markup)
	}
	return notes
}

// exportPreview returns the content that shows an export in at most size bytes of JSON, or
// nil, and a note if that is not the requested form.
func (t *tools) exportPreview(ctx context.Context, caller Caller, i resources.Image, e resources.Export, size int) (content *mcp.ImageContent, note string) {
	inline := cmp.Or(caller.Inline, t.Inline)
	limit := (size - contentEnvelope) / 4 * 3
	switch {
	case inline == InlineNone:
		return nil, ""
	case inline == InlineFull && len(e.Data) <= limit && e.Spec.Format != render.ICO: // which models do not read
		return imageContent(e.Data, e.MIMEType), ""
	case inline == InlineFull:
		note = "The file is not shown here in full, so this is a preview."
	}
	ctx, cancel := context.WithTimeout(ctx, t.PreviewWait)
	defer cancel()
	b, err := t.Library.ExportPreview(ctx, i, e.Spec)
	if err != nil {
		t.Log.WarnContext(ctx, "failed to make a preview", "id", i.ID, "error", err)
		return nil, "No preview could be made."
	}
	if len(b) > limit {
		return nil, "The preview is left out, as the result would become too large."
	}
	return imageContent(b, "image/jpeg"), note
}
