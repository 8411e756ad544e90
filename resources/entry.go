package resources

import (
	"context"
	"strings"
	"time"
)

// Entry is an image as programs see it: in the structured results of the
// tools and in the metadata resource. Fields that do not apply are left out.
type Entry struct {
	ID                string          `json:"id"`
	Status            Status          `json:"status"`
	URI               string          `json:"uri,omitempty"`
	PreviewURI        string          `json:"preview_uri,omitempty"`
	Path              string          `json:"path,omitempty"`
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
	CostUSD           float64         `json:"cost_usd"`          // 0 when nothing was charged
	Sandbox           bool            `json:"sandbox,omitempty"` // drawn by the sandbox, not made by Z.AI
	RequestID         string          `json:"request_id,omitempty"`
	ContentFilter     []ContentFilter `json:"content_filter,omitempty"`
	Error             *Failure        `json:"error,omitempty"`
}

// Status is what callers are told of an image's State.
type Status string

// What callers are told.
const (
	StatusSaved   Status = "saved"
	StatusWorking Status = "working"
	StatusFailed  Status = "failed"
	StatusUnknown Status = "unknown"
)

// Status sums State and Failure up for callers.
func (i Image) Status() Status {
	switch {
	case i.State == Saved:
		return StatusSaved
	case i.State == Unknown:
		return StatusUnknown
	case i.Working():
		return StatusWorking
	default:
		return StatusFailed
	}
}

// Reach says how callers get at files beside MCP.
type Locator struct {
	Path   bool   // they share the machine's file system
	Folder string // what they call the library's folder; "" when it has the same name for them
	Links  *Links // by HTTP; nil for not at all
}

// path returns what callers call an image's file, "" when there is none.
func (r Locator) path(l *Library, i Image) string {
	if r.Folder == "" || i.Path == "" {
		return l.Path(i)
	}
	name, separator := i.Path, "/"
	if strings.Contains(r.Folder, `\`) { // a folder of Windows, whatever this machine is
		name, separator = strings.ReplaceAll(name, "/", `\`), `\`
	}
	return strings.TrimRight(r.Folder, `/\`) + separator + name
}

// Entry describes an image.
func (l *Library) Entry(ctx context.Context, i Image, reach Locator) Entry {
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
	if reach.Path {
		e.Path = reach.path(l, i)
	}
	if reach.Links != nil && i.State == Saved {
		link, expires, err := reach.Links.URL(ctx, i)
		if err != nil {
			l.log.WarnContext(ctx, "no download link", "id", i.ID, "error", err)
			return e
		}
		e.DownloadURL, e.DownloadExpiresAt = link, expires.Format(time.RFC3339)
	}
	return e
}
