package resources

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// PageSize is how many images a page of resources/list holds.
const PageSize = 50

// MCP shows a library to agents as MCP resources. Images are not registered
// with the server: lists and reads come straight from the catalog, so a
// hundred thousand of them cost a page and not memory.
type MCP struct {
	Library *Library
	// Owner tells whose images a request may see.
	Owner func(context.Context) string
	// Models is the JSON of zai-image://models.
	Models []byte
	// MaxMessage is the largest message the transport may carry, in bytes; 0
	// for no limit. An image that does not fit is re-encoded as JPEG.
	MaxMessage int
	// Reach says how callers get at files otherwise.
	Reach Locator

	pages sync.Map // *mcp.ListResourcesRequest -> listed
}

type listed struct {
	images []Image
	next   string
	err    error
}

// Register adds resources, templates and hooks. Call it once.
func (m *MCP) Register(s *server.MCPServer, hooks *server.Hooks) {
	s.AddResource(modelsResource(), m.readModels)
	s.AddResourceTemplate(mcp.NewResourceTemplate(imagesURI+"{id}", "image",
		mcp.WithTemplateDescription("An image, its exact bytes")), m.readOriginal)
	s.AddResourceTemplate(mcp.NewResourceTemplate(imagesURI+"{id}/preview", "image preview",
		mcp.WithTemplateDescription("A small JPEG of an image, at most 512 pixels"), mcp.WithTemplateMIMEType("image/jpeg")), m.readPreview)
	s.AddResourceTemplate(mcp.NewResourceTemplate(imagesURI+"{id}/metadata", "image metadata",
		mcp.WithTemplateDescription("Prompt, model, size, cost and file of an image"), mcp.WithTemplateMIMEType("application/json")), m.readMetadata)
	hooks.AddOnRequestInitialization(m.beforeAny)
	hooks.AddBeforeListResources(m.beforeList)
	hooks.AddAfterListResources(m.afterList)
	hooks.AddBeforeReadResource(m.beforeRead)
}

// beforeAny refuses to list images when there is no catalog to read: an
// empty list would be a lie, and this hook is the only one that can refuse.
func (m *MCP) beforeAny(ctx context.Context, _ any, message any) error {
	raw, ok := message.(json.RawMessage)
	if !ok || !bytes.Contains(raw, []byte(mcp.MethodResourcesList)) {
		return nil
	}
	var request struct {
		Method mcp.MCPMethod `json:"method"`
	}
	if err := json.Unmarshal(raw, &request); err != nil || request.Method != mcp.MethodResourcesList {
		return nil //nolint:nilerr // the server library answers what is no request
	}
	if err := m.Library.Ready(ctx); err != nil {
		m.Library.log.ErrorContext(ctx, "images cannot be listed", "error", err)
		return ErrStorage
	}
	return nil
}

// badCursor is no base64, so that the server library answers "invalid params".
const badCursor = "!"

// beforeList reads the page from the catalog, while the cursor can still be
// refused.
func (m *MCP) beforeList(ctx context.Context, _ any, request *mcp.ListResourcesRequest) {
	before, ok := openCursor(string(request.Params.Cursor))
	if !ok {
		request.Params.Cursor = badCursor
		return
	}
	var page listed
	page.images, page.next, page.err = m.Library.List(ctx, m.Owner(ctx), "", before, PageSize)
	m.pages.Store(request, page)
}

// afterList puts the page in place of what the server library knows. Models
// come behind the oldest image, on a page of their own when the last is full.
func (m *MCP) afterList(ctx context.Context, _ any, request *mcp.ListResourcesRequest, result *mcp.ListResourcesResult) {
	value, ok := m.pages.LoadAndDelete(request)
	if !ok {
		return
	}
	page, ok := value.(listed)
	if !ok {
		return
	}
	if page.err != nil {
		m.Library.log.ErrorContext(ctx, "images cannot be listed", "error", page.err)
	}
	list := make([]mcp.Resource, 0, len(page.images)+1)
	for _, i := range page.images {
		list = append(list, m.resource(i))
	}
	next := page.next
	switch {
	case next == "" && len(list) < PageSize:
		list = append(list, modelsResource())
	case next == "" && len(list) == PageSize:
		next = page.images[len(list)-1].ID
	}
	result.Resources, result.NextCursor = list, mcp.Cursor(closeCursor(next))
}

func modelsResource() mcp.Resource {
	return mcp.NewResource(ModelsURI, "models",
		mcp.WithResourceDescription("Image models that can be used: sizes, qualities, price, usual duration"),
		mcp.WithMIMEType("application/json"))
}

// closeCursor makes the opaque form of a cursor.
func closeCursor(id string) string {
	if id == "" {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte("before " + id))
}

func openCursor(cursor string) (id string, ok bool) {
	if cursor == "" {
		return "", true
	}
	text, err := base64.StdEncoding.DecodeString(cursor)
	if err != nil || len(text) < len("before ") || string(text[:len("before ")]) != "before " {
		return "", false
	}
	id = string(text[len("before "):])
	return id, ValidID(id)
}

// resource describes an image in lists.
func (m *MCP) resource(i Image) mcp.Resource {
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

// beforeRead answers "not found" in the way of the protocol's version: a
// handler's own error would always be "internal", while the server library
// has the right code for a URI that nothing matches.
func (m *MCP) beforeRead(ctx context.Context, _ any, request *mcp.ReadResourceRequest) {
	uri := request.Params.URI
	if !strings.HasPrefix(uri, imagesURI) {
		return
	}
	id, _, ok := ParseURI(uri)
	if ok {
		i, err := m.Library.Image(ctx, m.Owner(ctx), id)
		ok = err == nil && i.State == Saved || err != nil && !errors.Is(err, ErrNotFound)
	}
	if !ok {
		request.Params.URI = "not-found:" + clip(uri, 200)
	}
}

func (m *MCP) readModels(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	return []mcp.ResourceContents{mcp.TextResourceContents{URI: ModelsURI, MIMEType: "application/json", Text: string(m.Models)}}, nil
}

// find is the image of a request that beforeRead let through.
func (m *MCP) find(ctx context.Context, request mcp.ReadResourceRequest) (Image, error) {
	id, _, _ := ParseURI(request.Params.URI)
	return m.Library.Image(ctx, m.Owner(ctx), id)
}

func (m *MCP) readOriginal(ctx context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	i, err := m.find(ctx, request)
	if err != nil {
		return nil, err
	}
	const envelope = 16 << 10 // everything around the image
	if room := (m.MaxMessage - envelope) / 4 * 3; m.MaxMessage > 0 && i.Bytes > int64(room) {
		return m.reencoded(ctx, i, room)
	}
	b, err := m.Library.Read(ctx, i)
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{blob(URI(i.ID, Original), i.MIMEType, b)}, nil
}

// reencoded answers with a JPEG in place of a file that is too large, and says
// so to programs and to readers.
func (m *MCP) reencoded(ctx context.Context, i Image, room int) ([]mcp.ResourceContents, error) {
	b, err := m.Library.Reencode(ctx, i, room)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("This is a JPEG copy: the original %s of %d bytes is larger than one message may be.", i.MIMEType, i.Bytes)
	if entry := m.Library.Entry(ctx, i, m.Reach); entry.Path != "" {
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

func (m *MCP) readPreview(ctx context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	i, err := m.find(ctx, request)
	if err != nil {
		return nil, err
	}
	b, err := m.Library.Preview(ctx, i)
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{blob(URI(i.ID, Preview), "image/jpeg", b)}, nil
}

func blob(uri, mimeType string, b []byte) mcp.BlobResourceContents {
	return mcp.BlobResourceContents{URI: uri, MIMEType: mimeType, Blob: base64.StdEncoding.EncodeToString(b)}
}

func (m *MCP) readMetadata(ctx context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	i, err := m.find(ctx, request)
	if err != nil {
		return nil, err
	}
	data := struct {
		Entry
		Sandbox bool `json:"sandbox"`
	}{m.Library.Entry(ctx, i, m.Reach), i.Sandbox}
	text, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{URI: URI(i.ID, Metadata), MIMEType: "application/json", Text: string(text)}}, nil
}

// CompleteResourceArgument completes the {id} of the templates with the newest
// images whose id begins as typed. Anything else completes to nothing.
func (m *MCP) CompleteResourceArgument(ctx context.Context, uri string, argument mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	none := &mcp.Completion{Values: []string{}}
	if argument.Name != "id" || uri != imagesURI+"{id}" && uri != imagesURI+"{id}/preview" && uri != imagesURI+"{id}/metadata" {
		return none, nil
	}
	const most = 100 // the protocol's limit
	ids, err := m.Library.catalog.idsWithPrefix(ctx, m.Owner(ctx), argument.Value, most+1)
	if err != nil {
		return none, err
	}
	return &mcp.Completion{Values: ids[:min(len(ids), most)], HasMore: len(ids) > most}, nil
}

func clip(text string, runes int) string {
	r := []rune(text)
	if len(r) <= runes {
		return text
	}
	return string(r[:runes-1]) + "…"
}
