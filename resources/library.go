package resources

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"zai-image-mcp/resources/label"
	"zai-image-mcp/resources/render"
)

// Options configure a Library.
type Options struct {
	Store    Store        // image files; the library closes it
	Previews Store        // their previews; the library closes it
	Exports  Store        // cache of derived images; the library closes it; nil for no cache
	Catalog  Catalog      // the library closes it
	Label    label.Policy // what derived files say of themselves
	// ExportsLimit is the size of the cache of derived images in bytes; 0 means
	// DefaultExportsLimit.
	ExportsLimit int64
	Now          func() time.Time // clock
	Random       io.Reader        // for ids; must be safe for concurrent use
	Log          *slog.Logger
	// Redirect makes Downloads redirect requests to presigned links, if Store is a
	// Presigner whose service clients can connect to.
	Redirect bool
}

// Library is a store of images, their catalog and their previews. It is safe for
// concurrent use, also by several processes on one library. Stores and catalogs
// are created or opened at the first use.
type Library struct {
	store        Store // image files
	previews     Store
	exports      Store // nil without a cache
	labels       label.Policy
	catalog      Catalog
	redirect     bool
	now          func() time.Time
	log          *slog.Logger
	decodeMemory *semaphore.Weighted // bytes
	decodeSlots  *semaphore.Weighted // processors
	renderSlots  *semaphore.Weighted // exports that are made at the same time; the rest is left to previews
	previewCalls singleflight.Group  // by image id
	renderCalls  sharedCalls[[]render.Result]
	exportsLimit int64        // bytes
	exportsPut   atomic.Int64 // bytes since the cache was trimmed
	verified     verifiedCache
	marksLogged  sync.Once

	idMu    sync.Mutex
	entropy ulid.MonotonicReader
	idTime  uint64 // of the newest id, Unix milliseconds
}

// New returns a library. It does no I/O.
func New(o Options) *Library {
	processors := int64(runtime.GOMAXPROCS(0))
	l := &Library{
		store:        o.Store,
		previews:     o.Previews,
		exports:      o.Exports,
		labels:       o.Label,
		catalog:      o.Catalog,
		redirect:     o.Redirect,
		now:          o.Now,
		log:          o.Log,
		decodeMemory: semaphore.NewWeighted(decodeBytes),
		decodeSlots:  semaphore.NewWeighted(processors),
		renderSlots:  semaphore.NewWeighted(max(1, processors-1)),
		exportsLimit: cmp.Or(o.ExportsLimit, DefaultExportsLimit),
		entropy:      ulid.Monotonic(o.Random, 0),
	}
	l.exportsPut.Store(trimEvery) // many short processes must not exceed the limit either
	return l
}

// Close closes the catalog and the stores.
func (l *Library) Close() error {
	err := l.catalog.Close()
	for _, s := range []Store{l.store, l.previews, l.exports} {
		if s == nil {
			continue
		}
		if e := s.Close(); err == nil {
			err = e
		}
	}
	return err
}

// NewID returns an id that sorts after all earlier ids of this process, even if
// the clock was set back.
func (l *Library) NewID() (string, error) {
	l.idMu.Lock()
	defer l.idMu.Unlock()
	l.idTime = max(l.idTime, ulid.Timestamp(l.now()))
	id, err := ulid.New(l.idTime, l.entropy)
	if err != nil {
		return "", fmt.Errorf("%w: making an id: %w", ErrStorage, err)
	}
	return strings.ToLower(id.String()), nil
}

// Record durably writes the state and the results of an image. It fails with
// ErrSettled if the row has newer data.
func (l *Library) Record(ctx context.Context, i Image) error {
	return l.catalog.Record(ctx, i, Guard{})
}

// Catalog returns the catalog of the library.
func (l *Library) Catalog() Catalog { return l.catalog }

// Image returns an image in any state except Removed.
func (l *Library) Image(ctx context.Context, owner, id string) (Image, error) {
	if !ValidID(id) {
		return Image{}, ErrNotFound
	}
	i, err := l.image(ctx, id)
	if err == nil && i.Owner != owner {
		return Image{}, ErrNotFound
	}
	return i, err
}

// image returns an image of any owner in any state except Removed; callers must check
// that the request may access it.
func (l *Library) image(ctx context.Context, id string) (Image, error) {
	row, err := l.catalog.Row(ctx, id)
	if err == nil && row.State == Removed {
		return Image{}, ErrNotFound
	}
	return row.Image, err
}

// MaxQuery is the longest search query in bytes.
const MaxQuery = 1000

// List returns a page of saved images, newest first, whose prompt contains
// every word of query. cursor is "" for the first page, and next of the previous
// page otherwise; next is "" on the last page.
func (l *Library) List(ctx context.Context, owner, query, cursor string, limit int) (page []Image, next string, err error) {
	page, err = l.catalog.Page(ctx, owner, Saved, query, cursor, limit+1)
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	return page[:limit], page[limit-1].ID, nil
}

// Neighbors returns the ids of an owner's saved images directly before and after an id, ""
// where there is none.
func (l *Library) Neighbors(ctx context.Context, owner, id string) (newer, older string, err error) {
	if !ValidID(id) { // PostgreSQL fails for some texts
		return "", "", ErrNotFound
	}
	return l.catalog.Neighbors(ctx, owner, id)
}

// Unsaved returns the newest images that were or may have been paid for and are
// not saved. It returns at most limit of those that are being generated, of those
// whose image was generated, and of those with an unknown outcome.
func (l *Library) Unsaved(ctx context.Context, owner string, limit int) ([]Image, error) {
	var list []Image
	for _, group := range [][]State{{Submitted, Polling}, {Answered, FetchFailed, Lost}, {Unknown, PollFailed}} {
		var images []Image
		for _, state := range group {
			page, err := l.catalog.Page(ctx, owner, state, "", "", limit)
			if err != nil {
				return nil, err
			}
			images = append(images, page...)
		}
		slices.SortFunc(images, func(a, b Image) int { return strings.Compare(b.ID, a.ID) })
		list = append(list, images[:min(len(images), limit)]...)
	}
	return list, nil
}

// Exists reports whether there is a catalog. Other methods create it.
func (l *Library) Exists() bool { return l.catalog.Exists() }

// Ready fails if the catalog cannot be opened.
func (l *Library) Ready(ctx context.Context) error {
	return l.catalog.Ready(ctx)
}

// Reachable fails if the catalog or the store does not respond.
func (l *Library) Reachable(ctx context.Context) error {
	if err := l.catalog.Ping(ctx); err != nil {
		return err
	}
	return l.store.Ping(ctx)
}

// StoreName returns the folder or the address of the image files for people.
func (l *Library) StoreName() string { return l.store.Name() }

// StorePresent fails if the store of the image files does not exist. Other methods
// create it.
func (l *Library) StorePresent(ctx context.Context) error { return l.store.Present(ctx) }

// Path returns the path of an image's file on this machine, "" if it has none or if
// the store is elsewhere.
func (l *Library) Path(i Image) string {
	if i.Path == "" {
		return ""
	}
	return l.store.Path(i.Path)
}
