package resources

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sync/errgroup"
)

// CopyReport is the result of Copy.
type CopyReport struct {
	Images   int       `json:"images"`     // entries of the source
	Added    int       `json:"added"`      // entries that are new in the target
	Updated  int       `json:"updated"`    // entries of the target that had changed in the source
	Files    int       `json:"files"`      // files that were copied
	Bytes    int64     `json:"bytes"`      // their total size
	KeepLink bool      `json:"links_kept"` // links to the source's images are valid in the target
	Working  []string  `json:"working"`    // images that a live process works on; they are not copied
	Problems []Problem `json:"problems"`   // files of the source that could not be copied
}

// copyFiles is the number of files that Copy copies at a time. With a store on a
// network, the time is spent on waiting for responses.
const copyFiles = 8

// Copy copies the images of a library, their rows in all states and the key of their
// download links to another library. It copies files before rows, so that a saved row
// always has its file, and compares every file with its recorded hash. What the
// target has already is not copied again, so Copy can be interrupted and called again.
//
// Processes may use the source meanwhile. Images that one works on are left out, and a
// row that changes later is brought up to date by the next call. Images that were
// removed or saved in the target since then stay as they are there. If a file of the
// source is missing, damaged or unreadable, Copy reports it and copies only the row.
//
// Copy returns what it has done so far also if it fails. progress may be nil.
func Copy(ctx context.Context, from, to *Library, progress func(done, total int)) (CopyReport, error) {
	c := &copying{from: from, to: to, report: CopyReport{Working: []string{}, Problems: []Problem{}}}
	if err := c.copyLinkKey(ctx); err != nil {
		return c.report, err
	}
	total, err := from.catalog.Count(ctx, States()...)
	if err != nil {
		return c.report, err
	}
	for after := ""; ; {
		page, err := from.catalog.Scan(ctx, after, States()...)
		if err != nil || len(page) == 0 {
			return c.report, err
		}
		if err := c.copyPage(ctx, page, after); err != nil {
			return c.report, err
		}
		after = page[len(page)-1].ID
		c.report.Images += len(page)
		if progress != nil {
			progress(c.report.Images, max(total, c.report.Images))
		}
	}
}

// copying is one call of Copy.
type copying struct {
	from, to *Library

	mu     sync.Mutex
	report CopyReport
}

// copyLinkKey makes links to images of the source valid in the target. A target that
// has images keeps its key, because links to these were given out.
func (c *copying) copyLinkKey(ctx context.Context) error {
	key, err := linkKey(ctx, c.from.catalog)
	if err != nil {
		return err
	}
	images, err := c.to.catalog.Count(ctx, States()...)
	if err != nil {
		return err
	}
	current, err := c.to.catalog.Setting(ctx, linkKeyName, key)
	if err != nil {
		return err
	}
	c.report.KeepLink = bytes.Equal(current, key)
	if !c.report.KeepLink && images == 0 {
		c.report.KeepLink = true
		return c.to.catalog.SetSetting(ctx, linkKeyName, key)
	}
	return nil
}

// copyPage copies the rows of a page, which follow the id after, and their files.
func (c *copying) copyPage(ctx context.Context, page []Row, after string) error {
	known, err := c.known(ctx, after, page[len(page)-1].ID)
	if err != nil {
		return err
	}
	rows := make([]*Row, len(page)) // nil for rows that are left out
	files, filesCtx := errgroup.WithContext(ctx)
	files.SetLimit(copyFiles)
	for n, row := range page {
		files.Go(func() (err error) {
			rows[n], err = c.copyImage(filesCtx, row, known)
			return err
		})
	}
	if err := files.Wait(); err != nil {
		return err
	}
	var added []Row
	for _, row := range rows {
		if row == nil {
			continue
		}
		if current, ok := known[row.ID]; !ok {
			added = append(added, *row)
		} else if err := c.update(ctx, *row, current); err != nil {
			return err
		}
	}
	n, err := c.to.catalog.Insert(ctx, added...)
	c.report.Added += n
	return err
}

// known returns the rows of the target with ids greater than after and at most last.
func (c *copying) known(ctx context.Context, after, last string) (map[string]Row, error) {
	rows := map[string]Row{}
	for {
		page, err := c.to.catalog.Scan(ctx, after, States()...)
		if err != nil || len(page) == 0 {
			return rows, err
		}
		for _, row := range page {
			if row.ID > last {
				return rows, nil
			}
			rows[row.ID] = row
		}
		after = page[len(page)-1].ID
	}
}

// copyImage copies the file of an image, if it is saved, and returns the row to write.
// It returns nil if a live process works on the image.
func (c *copying) copyImage(ctx context.Context, row Row, known map[string]Row) (*Row, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if row.LeaseAlive && row.State.Recoverable() {
			c.mu.Lock()
			c.report.Working = append(c.report.Working, row.ID)
			c.mu.Unlock()
			return nil, nil //nolint:nilnil // there is nothing to write
		}
		target, isKnown := known[row.ID]
		if row.State != Saved || isKnown && target.State == Removed {
			return &row, nil
		}
		problem, err := c.copyFile(ctx, row.Image, isKnown && target.State == Saved)
		if err != nil || problem == nil {
			return &row, err
		}
		current, err := c.from.catalog.Row(ctx, row.ID)
		if err != nil {
			return nil, err
		}
		if current.State == Saved && current.Path == row.Path {
			c.mu.Lock()
			c.report.Problems = append(c.report.Problems, *problem)
			c.mu.Unlock()
			return &row, nil
		}
		row = current // the image was removed, or its file moved
	}
}

// copyFile copies the file of a saved image, unless the target has it. It returns the
// problem of the source's file, if there is one. If the target's row is saved, its
// file was compared with the hash before, and now only its size is.
func (c *copying) copyFile(ctx context.Context, i Image, saved bool) (*Problem, error) {
	if has, err := c.hasFile(ctx, i, saved); has || err != nil {
		return nil, err
	}
	file, err := c.from.store.Open(ctx, i.Path)
	if err != nil {
		return c.sourceProblem(ctx, i, err)
	}
	defer file.Close()
	source := &verifyingReader{file: file, image: i, hash: sha256.New()}
	sha, size, err := c.to.store.Put(ctx, i.Path, source)
	if errors.Is(err, ErrExists) { // with another content
		if err = c.to.store.Quarantine(ctx, i.Path); err == nil {
			return c.copyFile(ctx, i, saved)
		}
	}
	switch {
	case source.err != nil:
		return c.sourceProblem(ctx, i, source.err)
	case err != nil:
		return nil, err
	case sha != i.SHA256:
		return nil, fmt.Errorf("%w: %s was stored with another content", ErrStorage, RedactName(i.Path))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Files++
	c.report.Bytes += size
	return nil, nil //nolint:nilnil // there is no problem
}

// hasFile reports whether the target has the file of an image. Without verified, it
// also compares the hash.
func (c *copying) hasFile(ctx context.Context, i Image, verified bool) (bool, error) {
	info, err := c.to.store.Stat(ctx, i.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.Size != i.Bytes:
		return false, nil
	case verified:
		return true, nil
	}
	file, err := c.to.store.Open(ctx, i.Path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = verifyHash(file, i)
	if errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

// update brings a row of the target up to date with a row of the source that changed
// after it was copied. It leaves images alone that the target has saved or removed, or
// that a live process works on there.
func (c *copying) update(ctx context.Context, row, target Row) error {
	if target.State == Removed || target.LeaseAlive && target.State.Recoverable() {
		return nil
	}
	updated := false
	switch {
	case row.State == Removed:
		if err := c.to.remove(ctx, row.Owner, row.ID); err != nil {
			return err
		}
		updated = true
	case row.State != target.State && target.State != Saved && target.State.CanBecome(row.State):
		err := c.to.catalog.Record(ctx, row.Image, Guard{})
		if err != nil && !errors.Is(err, ErrSettled) {
			return err
		}
		updated = err == nil
	}
	if row.Delivered && !target.Delivered {
		if err := c.to.catalog.EndDelivery(ctx, "", []string{row.ID}, true); err != nil {
			return err
		}
		updated = true
	}
	if updated {
		c.report.Updated++
	}
	return nil
}

// sourceProblem returns the problem that an error of the source's file means. It
// returns an error if the source cannot be used at all.
func (c *copying) sourceProblem(ctx context.Context, i Image, err error) (*Problem, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{Kind: Missing, ID: i.ID, Path: i.Path, Detail: "the file does not exist"}, nil
	case errors.Is(err, ErrCorrupt):
		return &Problem{Kind: Damaged, ID: i.ID, Path: i.Path, Detail: err.Error()}, nil
	}
	if err := c.from.store.Ping(ctx); err != nil {
		return nil, err
	}
	return &Problem{Kind: Unreadable, ID: i.ID, Path: i.Path, Detail: err.Error()}, nil
}

// verifyingReader reads the file of an image. At its end it fails with ErrCorrupt if
// size or hash differ from what was recorded, so that a Put of it fails.
type verifyingReader struct {
	file  io.Reader
	image Image
	hash  hash.Hash
	size  int64
	err   error // other than io.EOF
}

func (v *verifyingReader) Read(b []byte) (int, error) {
	n, err := v.file.Read(b)
	v.hash.Write(b[:n])
	v.size += int64(n)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		v.err = readError(v.image.Path, err)
	case v.size != v.image.Bytes:
		v.err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, v.size, v.image.Bytes)
	case hex.EncodeToString(v.hash.Sum(nil)) != v.image.SHA256:
		v.err = fmt.Errorf("%w: %s", ErrCorrupt, RedactName(v.image.Path))
	default:
		return n, io.EOF
	}
	return n, v.err
}
