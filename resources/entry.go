package resources

import (
	"context"
	"strings"
	"time"

	"zai-image-mcp/resources/render"
)

// Entry is the JSON description of an image in the structured results of the tools
// and in the metadata resource. Fields that do not apply are omitted.
type Entry struct {
	ID                string          `json:"id"`
	Status            Status          `json:"status"`
	URI               string          `json:"uri,omitempty"`
	PreviewURI        string          `json:"preview_uri,omitempty"`
	Path              string          `json:"path,omitempty"`
	SavedAs           string          `json:"saved_as,omitempty"` // file of the image in the project
	DownloadURL       string          `json:"download_url,omitempty"`
	DownloadExpiresAt string          `json:"download_expires_at,omitempty"`
	MIMEType          string          `json:"mime_type,omitempty"`
	Width             int             `json:"width,omitempty"`
	Height            int             `json:"height,omitempty"`
	Bytes             int64           `json:"bytes,omitempty"`
	SHA256            string          `json:"sha256,omitempty"`
	Prompt            string          `json:"prompt"`
	Model             string          `json:"model"`
	Size              string          `json:"size"`
	Quality           string          `json:"quality"`
	CreatedAt         string          `json:"created_at"`        // RFC 3339
	CostUSD           float64         `json:"cost_usd"`          // 0 if nothing was charged
	Sandbox           bool            `json:"sandbox,omitempty"` // made by the sandbox, not by Z.AI
	RequestID         string          `json:"request_id,omitempty"`
	ContentFilter     []ContentFilter `json:"content_filter,omitempty"`
	Error             *Failure        `json:"error,omitempty"`
}

// Description is an Entry with what only the metadata resource and images show have.
type Description struct {
	Entry
	Marks []string `json:"marks,omitzero"` // names of the marks that the file has (see label.Marks); omitted if they are not known
}

// Status is the state of an image as shown to callers.
type Status string

// The statuses.
const (
	StatusSaved   Status = "saved"
	StatusWorking Status = "working"
	StatusFailed  Status = "failed"
	StatusUnknown Status = "unknown"
)

// Status returns the status that follows from State.
func (i Image) Status() Status {
	switch {
	case i.State == Saved:
		return StatusSaved
	case i.State == Unknown || i.State == PollFailed:
		return StatusUnknown
	case i.Working():
		return StatusWorking
	default:
		return StatusFailed
	}
}

// Locator describes how callers can reach image files outside MCP.
type Locator struct {
	Path   bool   // callers share this machine's file system
	Folder string // the library's folder as callers see it; "" if it has the same path
	Links  Linker // makes download links; nil without them
}

// Linker makes links to saved images.
type Linker interface {
	// URL returns a new link to a saved image and the time at which it expires.
	URL(ctx context.Context, i Image) (link string, expires time.Time, err error)
}

// ExportLinker is a Linker that also makes links to exports.
type ExportLinker interface {
	// ExportURL returns a new link to an export of a saved image and the time at which it
	// expires.
	ExportURL(ctx context.Context, i Image, s render.Spec) (link string, expires time.Time, err error)
}

// path returns the path of an image's file as callers see it, "" if it has none.
func (o Locator) path(l *Library, i Image) string {
	if o.Folder == "" || i.Path == "" || l.Path(i) == "" {
		return l.Path(i)
	}
	name, separator := i.Path, "/"
	if strings.Contains(o.Folder, `\`) { // a Windows folder, even if this program runs elsewhere
		name, separator = strings.ReplaceAll(name, "/", `\`), `\`
	}
	return strings.TrimRight(o.Folder, `/\`) + separator + name
}

// Entry returns the description of an image, with the path and the link that
// the locator allows.
func (l *Library) Entry(ctx context.Context, i Image, locator Locator) Entry {
	e := Entry{
		ID: i.ID, Status: i.Status(), MIMEType: i.MIMEType, Width: i.Width, Height: i.Height, Bytes: i.Bytes, SHA256: i.SHA256,
		Prompt: i.Prompt, Model: i.Model, Size: i.Size, Quality: i.Quality, CreatedAt: i.CreatedAt.Format(time.RFC3339Nano),
		Sandbox: i.Sandbox, RequestID: i.RequestID, ContentFilter: i.ContentFilter, Error: i.Failure,
	}
	if i.Charged {
		e.CostUSD = i.CostUSD()
	}
	if e.Status == StatusSaved || e.Status == StatusWorking {
		e.URI, e.PreviewURI = URI(i.ID, Original), URI(i.ID, Preview)
	}
	if locator.Path {
		e.Path = locator.path(l, i)
	}
	if locator.Links != nil && i.State == Saved {
		link, expires, err := locator.Links.URL(ctx, i)
		if err != nil {
			l.log.WarnContext(ctx, "failed to make a download link", "id", i.ID, "error", err)
			return e
		}
		e.DownloadURL, e.DownloadExpiresAt = link, expires.Format(time.RFC3339)
	}
	return e
}

// Describe returns the description of an image. It reads the image's file if its marks
// are not known yet.
func (l *Library) Describe(ctx context.Context, i Image, locator Locator) Description {
	marks, err := l.Marks(ctx, i)
	if err != nil {
		l.log.WarnContext(ctx, "failed to look for the marks of an image", "id", i.ID, "error", err)
	}
	return Description{l.Entry(ctx, i, locator), marks}
}
