// Package resources is the library of images: files in a folder, a catalog
// of them in SQLite, small previews, and how agents see them as MCP resources.
//
// The row of an image is also the journal of the money it costs: it exists,
// durably, before the image is asked for.
package resources

import (
	"errors"
	"time"
)

// State is how far an image has come.
type State string

// The states in their usual order.
const (
	Queued    State = "queued"    // reserved, nothing was sent
	Submitted State = "submitted" // the request may have been sent
	Answered  State = "answered"  // made and billed; the link to it is known
	Saved     State = "saved"     // file and row are durable
	Failed    State = "failed"    // there is no image; billed only if Charged
	Unknown   State = "unknown"   // may have been billed, was not sent again
	Removed   State = "removed"   // deleted by the user; the row remembers what it cost
)

// Image is one row of the catalog.
type Image struct {
	ID        string // ULID, 26 characters, lower case
	CallID    string // the call it was made in; images of one call share it
	Owner     string
	State     State
	CreatedAt time.Time

	Model, Prompt, Size, Quality, UserID string
	Sandbox                              bool  // made by the built-in sandbox
	CostMicroUSD                         int64 // what it costs, 1e-6 US dollars
	Charged                              bool  // counts as spent

	UpstreamURL, RequestID, LogID string
	TaskID                        string // of an image that the service makes by itself
	ContentFilter                 []ContentFilter

	Path          string // below the store's folder, with slashes
	MIMEType      string
	Width, Height int // pixels
	Bytes         int64
	SHA256        string // hex

	Failure *Failure // why it is not saved

	UpstreamAnswer string // of the API, when it was not understood; without the key, at most 4 KB

	Delivered bool // a caller has got it, or heard what became of it
}

// ContentFilter is a remark of the vendor's content check, level 0 being the
// most severe and 3 the least.
type ContentFilter struct {
	Role  string `json:"role"`
	Level int    `json:"level"`
}

// Failure is a problem in words for whoever made the call, as kept in a row.
type Failure struct {
	Kind      Kind   `json:"kind"`
	Message   string `json:"message"`
	Hint      string `json:"hint"`
	Retryable bool   `json:"retryable"`
}

// CostUSD is what the image costs in US dollars.
func (i Image) CostUSD() float64 { return float64(i.CostMicroUSD) / 1e6 }

// Working reports whether the image is still being made.
func (i Image) Working() bool {
	return i.Failure == nil && (i.State == Queued || i.State == Submitted || i.State == Answered)
}

// Recoverable reports whether an image that is not saved may still become so.
func (i Image) Recoverable() bool {
	switch i.State {
	case Queued, Submitted:
		return true
	case Answered:
		return i.UpstreamURL != "" || i.Failure == nil
	case Unknown:
		return i.TaskID != ""
	case Saved, Failed, Removed:
	}
	return false
}

// Errors of the library. Callers find them with errors.Is.
var (
	// ErrNotFound says that no such image exists for this owner.
	ErrNotFound = errors.New("no such image")
	// ErrStorage says that folder or catalog cannot be used.
	ErrStorage = errors.New("the image library cannot be used")
	// ErrBudget says that a reservation would exceed the daily budget.
	ErrBudget = errors.New("daily budget exceeded")
	// ErrSettled says that a row knows better than what was to be written: it
	// is saved, removed, has a link, or is another process's now.
	ErrSettled = errors.New("the image is settled")
	// ErrWorking says that an image is still being made.
	ErrWorking = errors.New("the image is still being made")
	// ErrCorrupt says that a file is not the one that was saved.
	ErrCorrupt = errors.New("the image file was changed or damaged")
)
