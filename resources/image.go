package resources

import (
	"errors"
	"time"
)

// Image is one image with everything that the catalog records about it.
type Image struct {
	ID        string // ULID, 26 characters, lower case
	CallID    string // the call that requested it; images of one call share it
	Owner     string
	State     State
	CreatedAt time.Time

	Model, Prompt, Size, Quality, UserID string
	Sandbox                              bool  // made by the built-in sandbox
	CostMicroUSD                         int64 // price in 1e-6 US dollars
	Charged                              bool  // counts as spent

	UpstreamURL, RequestID, LogID string
	TaskID                        string // of an asynchronous task; "" for a synchronous request
	ContentFilter                 []ContentFilter

	Path          string // relative to the store's folder, with slashes
	MIMEType      string
	Width, Height int // pixels
	Bytes         int64
	SHA256        string // hex

	// Marks are the names of the marks of its origin that the file had when it was saved
	// (see label.Marks). It is nil if the file was not examined.
	Marks []string

	Failure *Failure // why it is not saved

	UpstreamAnswer string // an API response that could not be interpreted; without the key, at most 4 KB

	Delivered bool // a caller received the image or its failure
}

// ContentFilter is one result of the vendor's content filter. Level 0 is the most
// severe and level 3 the least severe.
type ContentFilter struct {
	Role  string `json:"role"`
	Level int    `json:"level"`
}

// Failure describes a failure to callers. It is stored in the catalog.
type Failure struct {
	Kind      Kind   `json:"kind"`
	Message   string `json:"message"`
	Hint      string `json:"hint"`
	Retryable bool   `json:"retryable"`
}

// CostUSD returns the price in US dollars.
func (i Image) CostUSD() float64 { return float64(i.CostMicroUSD) / 1e6 }

// Working reports whether the image is being generated or downloaded.
func (i Image) Working() bool { return i.State.Working() }

// Recoverable reports whether the image is not saved yet, but still may be.
func (i Image) Recoverable() bool { return i.State.Recoverable() }

// Errors of the library, for use with errors.Is.
var (
	// ErrNotFound means that the owner has no image with this id.
	ErrNotFound = errors.New("no such image")
	// ErrStorage means that the store or the catalog cannot be used.
	ErrStorage = errors.New("the image library cannot be used")
	// ErrBudget means that a reservation would exceed the daily budget.
	ErrBudget = errors.New("daily budget exceeded")
	// ErrDailyImages means that a reservation would exceed the daily number of images.
	ErrDailyImages = errors.New("daily number of images exceeded")
	// ErrSettled means that an update was not written because the row has newer
	// data: the image is saved or removed, has a link, or belongs to another
	// process.
	ErrSettled = errors.New("the catalog has newer data about the image")
	// ErrWorking means that an image is still being generated or downloaded.
	ErrWorking = errors.New("the image is still being made")
	// ErrExists means that a file was not saved because another one has its name.
	ErrExists = errors.New("another file has this name")
	// ErrCorrupt means that a file differs from what was saved.
	ErrCorrupt = errors.New("the image file was changed or damaged")
)
