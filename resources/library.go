package resources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

// Options say where the library lies and what it takes from outside.
type Options struct {
	Folder  string           // images
	Catalog string           // SQLite file, ".catalog.db" in the folder when empty
	Now     func() time.Time // clock
	Random  io.Reader        // for ids; must be safe for concurrent use
	Log     *slog.Logger
}

// Library is the folder, its catalog and the previews. It is safe for
// concurrent use, also by several processes on one folder. Nothing is opened
// or made before the first use.
type Library struct {
	store        *store
	previews     *store
	catalog      *catalog
	now          func() time.Time
	log          *slog.Logger
	decodeMemory *semaphore.Weighted // bytes
	decodeSlots  *semaphore.Weighted // processors
	previewCalls singleflight.Group
	verified     verifiedCache

	idMu    sync.Mutex
	entropy ulid.MonotonicReader
	idTime  uint64 // of the newest id, Unix milliseconds
}

// New makes a library.
func New(o Options) *Library {
	if o.Catalog == "" {
		o.Catalog = filepath.Join(o.Folder, ".catalog.db")
	}
	return &Library{
		store:        newStore(o.Folder, true, o.Now),
		previews:     newStore(filepath.Join(filepath.Dir(o.Catalog), ".previews"), false, o.Now),
		catalog:      newCatalog(o.Catalog, o.Log),
		now:          o.Now,
		log:          o.Log,
		decodeMemory: semaphore.NewWeighted(decodeBytes),
		decodeSlots:  semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))),
		entropy:      ulid.Monotonic(o.Random, 0),
	}
}

// Close closes catalog and folders.
func (l *Library) Close() error {
	err := l.catalog.close()
	for _, s := range []*store{l.store, l.previews} {
		if e := s.close(); err == nil {
			err = e
		}
	}
	return err
}

// NewID returns an id that sorts after all that this process made before, also
// when the clock was set back.
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

// Record writes a step in an image's life, durably.
func (l *Library) Record(ctx context.Context, i Image) error {
	return l.catalog.update(ctx, i, l.now(), condition{})
}

// RecordIf is Record for a row that was in the given state and that the
// process of the lease works on, which it prolongs. It fails with ErrSettled
// when that is not so any more.
func (l *Library) RecordIf(ctx context.Context, i Image, was State, lease Lease) error {
	return l.catalog.update(ctx, i, l.now(), condition{was, lease.Process, lease.Until})
}

// Content is an image file on its way into the library.
type Content struct {
	io.Reader
	MIMEType, Extension string // true to the bytes; the extension with its dot
	Width, Height       int    // pixels
}

// Save writes file and row, in this order, both durably: a row in state Saved
// means that the image is there. An error of the content's reader comes back
// as it is, all others are ErrStorage.
func (l *Library) Save(ctx context.Context, i Image, c Content) (Image, error) {
	name := fileName(i.CreatedAt, i.Prompt, i.ID, c.Extension)
	sha, size, err := l.store.save(name, c)
	if err != nil {
		return i, err
	}
	i.State, i.Failure = Saved, nil
	i.Path, i.MIMEType, i.SHA256, i.Bytes = name, c.MIMEType, sha, size
	i.Width, i.Height = c.Width, c.Height
	err = l.Record(ctx, i)
	if errors.Is(err, ErrSettled) {
		return l.settled(ctx, i)
	}
	return i, err
}

// settled looks what became of an image while it was being saved: another
// process saved it too, or the user removed it.
func (l *Library) settled(ctx context.Context, i Image) (Image, error) {
	row, err := l.Image(ctx, i.Owner, i.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return i, errors.Join(err, l.store.remove(i.Path))
	case err == nil && row.Path != i.Path:
		return row, l.store.remove(i.Path)
	default: // in doubt the file stays
		return row, err
	}
}

// Image looks an image up, in any state.
func (l *Library) Image(ctx context.Context, owner, id string) (Image, error) {
	if !ValidID(id) {
		return Image{}, ErrNotFound
	}
	return l.catalog.getOwned(ctx, owner, id)
}

// List pages through saved images, newest first, whose prompt holds query.
// The cursor is "" at first and then what the page before gave; "" comes back
// with the last page.
func (l *Library) List(ctx context.Context, owner, query, cursor string, limit int) (page []Image, next string, err error) {
	page, err = l.catalog.page(ctx, owner, query, cursor, limit+1, Saved)
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	return page[:limit], page[limit-1].ID, nil
}

// Unsaved lists the newest images that are paid for, or may be, and are not
// in the library.
func (l *Library) Unsaved(ctx context.Context, owner string, limit int) ([]Image, error) {
	var list []Image
	for _, state := range []State{Submitted, Answered, Unknown} {
		page, err := l.catalog.page(ctx, owner, "", "", limit, state)
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
	}
	return list, nil
}

// Ready reports whether the catalog can be used.
func (l *Library) Ready(ctx context.Context) error {
	_, err := l.catalog.open(ctx)
	return err
}

// Reachable reports whether catalog and folder answer.
func (l *Library) Reachable(ctx context.Context) error {
	db, err := l.catalog.open(ctx)
	if err != nil {
		return err
	}
	var one int
	if err := db.lookup.QueryRowContext(ctx, `SELECT COUNT(*) FROM settings`).Scan(&one); err != nil {
		return l.catalog.storageError("asking", err)
	}
	root, err := l.store.open()
	if err != nil {
		return err
	}
	if _, err := root.Stat("."); err != nil {
		return folderError(l.store.dir, withoutPath(err))
	}
	return nil
}

// Read gives the exact bytes of a saved image. A file that is not the one
// that was saved is ErrCorrupt.
func (l *Library) Read(_ context.Context, i Image) ([]byte, error) {
	if i.State != Saved {
		return nil, fmt.Errorf("%w: it is not saved", ErrNotFound)
	}
	file, err := l.store.openFile(i.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Size() != i.Bytes {
		return nil, fmt.Errorf("%w: %s has another size", ErrCorrupt, redactName(i.Path))
	}
	b := make([]byte, i.Bytes)
	if _, err := io.ReadFull(file, b); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, redactName(i.Path), withoutPath(err))
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != i.SHA256 {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, redactName(i.Path))
	}
	return b, nil
}

// Path is where the image lies on this machine, absolute when the folder is.
func (l *Library) Path(i Image) string {
	if i.Path == "" {
		return ""
	}
	return l.store.path(i.Path)
}

// Remove deletes an image: first its row turns to Removed, then the files go,
// so that no row promises an image that is not there. What the image cost
// still counts.
func (l *Library) Remove(ctx context.Context, owner, id string) error {
	i, err := l.Image(ctx, owner, id)
	if err != nil {
		return err
	}
	if i.Working() && l.now().Sub(i.CreatedAt) < time.Hour {
		return fmt.Errorf("%w: wait until it is done", ErrWorking)
	}
	name, err := l.catalog.remove(ctx, owner, id, l.now())
	if err != nil || name == "" {
		return err
	}
	if err := l.previews.remove(previewName(name)); err != nil {
		l.log.WarnContext(ctx, "preview is not removed", "id", id, "error", err)
	}
	return l.store.remove(name)
}
