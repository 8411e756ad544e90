package resources

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/resources/render"
)

// PageSize is the number of images in a page of resources/list.
const PageSize = 50

// ErrBadCursor means that a client sent a cursor that the server did not issue.
var ErrBadCursor = errors.New("unknown cursor")

// MCP presents a library as MCP resources. Lists and reads query the catalog page by
// page, so the memory they use does not depend on the number of images.
type MCP struct {
	Library *Library
	Models  []byte // JSON of zai-image://models
	// MaxMessage is the transport's limit for a message in bytes; 0 for no limit. An
	// image that does not fit is re-encoded as JPEG.
	MaxMessage int
	Locator    Locator // how callers reach files outside MCP
}

// Templates returns the resource templates of an image.
func (m *MCP) Templates() []mcp.ResourceTemplate {
	return []mcp.ResourceTemplate{
		mcp.NewResourceTemplate(imagesURI+"{id}", "image", mcp.WithTemplateDescription("An image, its exact bytes")),
		mcp.NewResourceTemplate(imagesURI+"{id}/preview", "image preview",
			mcp.WithTemplateDescription("A small JPEG of an image, at most 512 pixels"), mcp.WithTemplateMIMEType("image/jpeg")),
		mcp.NewResourceTemplate(imagesURI+"{id}/metadata", "image metadata",
			mcp.WithTemplateDescription("Prompt, model, size, cost and file of an image"), mcp.WithTemplateMIMEType("application/json")),
		mcp.NewResourceTemplate(imagesURI+"{id}/exports/{spec}", "image export",
			mcp.WithTemplateDescription("An image in another format or size: png, webp-1200x630-cover, jpg-800x800-contain-ffffff, ico")),
	}
}

// ListPage returns a page of an owner's images, newest first. The resource ModelsURI
// follows the oldest image, on an extra page if the last page is full. ListPage
// fails with ErrBadCursor or ErrStorage.
func (m *MCP) ListPage(ctx context.Context, owner, cursor string) (mcp.ListResourcesResult, error) {
	var result mcp.ListResourcesResult
	if err := m.Library.Ready(ctx); err != nil {
		return result, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	before, ok := decodeCursor(cursor)
	if !ok {
		return result, ErrBadCursor
	}
	images, next, err := m.Library.List(ctx, owner, "", before, PageSize)
	if err != nil {
		return result, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	result.Resources = make([]mcp.Resource, 0, len(images)+1)
	for _, i := range images {
		result.Resources = append(result.Resources, resourceOf(i))
	}
	switch {
	case next == "" && len(images) < PageSize:
		result.Resources = append(result.Resources, modelsResource())
	case next == "":
		next = images[len(images)-1].ID
	}
	result.NextCursor = mcp.Cursor(encodeCursor(next))
	return result, nil
}

func modelsResource() mcp.Resource {
	return mcp.NewResource(ModelsURI, "models",
		mcp.WithResourceDescription("Image models that can be used: sizes, qualities, price, usual duration"),
		mcp.WithMIMEType("application/json"))
}

const cursorPrefix = "before "

// encodeCursor returns the cursor for the images older than an id, or "" for "".
func encodeCursor(id string) string {
	if id == "" {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(cursorPrefix + id))
}

func decodeCursor(cursor string) (id string, ok bool) {
	if cursor == "" {
		return "", true
	}
	text, err := base64.StdEncoding.DecodeString(cursor)
	if err != nil {
		return "", false
	}
	id, ok = strings.CutPrefix(string(text), cursorPrefix)
	return id, ok && ValidID(id)
}

// resourceOf returns the entry of an image in a list.
func resourceOf(i Image) mcp.Resource {
	size := i.Bytes
	description := fmt.Sprintf("%dx%d, %s, %s", i.Width, i.Height, i.Model, i.CreatedAt.Format(time.DateTime))
	if i.Sandbox {
		description += ", from the sandbox"
	}
	r := mcp.Resource{
		URI: URI(i.ID, Original), Name: path.Base(i.Path), Title: clip(i.Prompt, 80), MIMEType: i.MIMEType, Size: &size, Description: description,
	}
	r.Annotations = &mcp.Annotations{LastModified: i.CreatedAt.Format(time.RFC3339)}
	return r
}

// Read returns the contents of one of an owner's resources. It fails with
// ErrNotFound if the resource does not exist or its image is not saved.
func (m *MCP) Read(ctx context.Context, owner, uri string) ([]mcp.ResourceContents, error) {
	if uri == ModelsURI {
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: ModelsURI, MIMEType: "application/json", Text: string(m.Models)}}, nil
	}
	id, view, ok := ParseURI(uri)
	if !ok {
		return nil, ErrNotFound
	}
	i, err := m.Library.Image(ctx, owner, id)
	switch {
	case err != nil:
		return nil, err
	case i.State != Saved:
		return nil, ErrNotFound
	case view == Preview:
		return m.readPreview(ctx, i)
	case view == Metadata:
		return m.readMetadata(ctx, i)
	case view == Original:
		return m.readOriginal(ctx, i)
	}
	if spec, ok := view.Spec(); ok {
		return m.readExport(ctx, i, spec)
	}
	return nil, ErrNotFound
}

// room returns how many bytes an image in a message may have.
func (m *MCP) room() int {
	const envelope = 16 << 10 // bytes of the message besides the image
	if m.MaxMessage == 0 {
		return math.MaxInt
	}
	return (m.MaxMessage - envelope) / 4 * 3
}

func (m *MCP) readOriginal(ctx context.Context, i Image) ([]mcp.ResourceContents, error) {
	if room := m.room(); i.Bytes > int64(room) {
		return m.reencoded(ctx, i, room)
	}
	b, err := m.Library.ReadAgain(ctx, i)
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{blob(URI(i.ID, Original), i.MIMEType, b)}, nil
}

// reencoded returns a JPEG copy in place of a file that is too large. _meta marks it
// as a copy for programs, and a text does so for readers.
func (m *MCP) reencoded(ctx context.Context, i Image, room int) ([]mcp.ResourceContents, error) {
	b, err := m.Library.Reencode(ctx, i, room)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("This is a JPEG copy: the original %s of %d bytes is larger than one message may be.", i.MIMEType, i.Bytes)
	if entry := m.Library.Entry(ctx, i, m.Locator); entry.Path != "" {
		note += " The original is the file " + entry.Path
	} else if entry.DownloadURL != "" {
		note += " The original is at " + entry.DownloadURL
	}
	content := blob(URI(i.ID, Original), "image/jpeg", b)
	content.Meta = map[string]any{"zai-image/reencoded": true, "zai-image/originalBytes": i.Bytes, "zai-image/originalMimeType": i.MIMEType}
	return []mcp.ResourceContents{
		content,
		mcp.TextResourceContents{URI: URI(i.ID, Metadata), MIMEType: "text/plain", Text: note},
	}, nil
}

func (m *MCP) readPreview(ctx context.Context, i Image) ([]mcp.ResourceContents, error) {
	b, err := m.Library.Preview(ctx, i)
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{blob(URI(i.ID, Preview), "image/jpeg", b)}, nil
}

// readExport fails with an error that says what to do if the export cannot be made or is
// too large. Another size or format would not be what the URI says.
func (m *MCP) readExport(ctx context.Context, i Image, s render.Spec) ([]mcp.ResourceContents, error) {
	e, err := m.Library.Export(ctx, i, s)
	if spec, ok := errors.AsType[*render.SpecError](err); ok {
		return nil, &resourceError{err, NewFailure(KindInvalidArgument, spec.Problem, spec.Hint)}
	}
	if err != nil {
		return nil, err
	}
	if len(e.Data) > m.room() {
		hint := "Call export_image with save_as, which writes the file into the project, or export a smaller size."
		if links, ok := m.Locator.Links.(ExportLinker); ok {
			if link, _, err := links.ExportURL(ctx, i, s); err == nil {
				hint = "Download it from " + link
			}
		}
		message := fmt.Sprintf("The export %s of %d bytes is larger than one message may be.", s, len(e.Data))
		return nil, &resourceError{errTooLarge, NewFailure(KindInvalidArgument, message, hint)}
	}
	return []mcp.ResourceContents{blob(URI(i.ID, ExportView(s)), e.MIMEType, e.Data)}, nil
}

// errTooLarge means that a file does not fit into a message.
var errTooLarge = errors.New("too large for a message")

// resourceError is the error of a resource that cannot be read, with what callers can do.
type resourceError struct {
	error
	failure *Failure
}

func (e *resourceError) Unwrap() error { return e.error }

// Failure returns the description of the error for callers.
func (e *resourceError) Failure() *Failure { return e.failure }

func blob(uri, mimeType string, b []byte) Blob {
	return Blob{mcp.BlobResourceContents{URI: uri, MIMEType: mimeType}, b}
}

func (m *MCP) readMetadata(ctx context.Context, i Image) ([]mcp.ResourceContents, error) {
	data := struct {
		Description
		Sandbox bool `json:"sandbox"`
	}{m.Library.Describe(ctx, i, m.Locator), i.Sandbox}
	text, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{URI: URI(i.ID, Metadata), MIMEType: "application/json", Text: string(text)}}, nil
}

// Complete returns the ids of an owner's newest saved images that begin with the
// typed text, for the {id} of a template. Other arguments have no completions.
func (m *MCP) Complete(ctx context.Context, owner, uri string, argument mcp.CompleteArgument) (mcp.Completion, error) {
	none := mcp.Completion{Values: []string{}}
	view, ok := strings.CutPrefix(uri, imagesURI+"{id}")
	if !ok || argument.Name != "id" || !slices.Contains([]string{"", "/preview", "/metadata", "/exports/{spec}"}, view) {
		return none, nil
	}
	const limit = 100 // of the protocol
	ids, err := m.Library.catalog.IDs(ctx, owner, argument.Value, limit+1)
	if err != nil {
		return none, err
	}
	if len(ids) == 0 {
		return none, nil
	}
	return mcp.Completion{Values: ids[:min(len(ids), limit)], HasMore: len(ids) > limit}, nil
}

// clip shortens a text to at most the given number of runes, the last one being an
// ellipsis.
func clip(text string, runes int) string {
	r := []rune(text)
	if len(r) <= runes {
		return text
	}
	return string(r[:runes-1]) + "…"
}
