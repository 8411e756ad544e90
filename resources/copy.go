package resources

import (
	"bytes"
	"context"
	"errors"
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

// Copy copies the images of a library, their rows in all states, the records of exports,
// and the keys of download links and gallery sessions to another library. It copies files
// before rows, so that a saved row always has its file, and compares every file with its
// recorded hash. What the target has already is not copied again, so Copy can be interrupted
// and called again.
//
// Processes may use the source meanwhile. Images that one works on are left out, and a
// row that changes later is brought up to date by the next call. Images that were
// removed or saved in the target since then stay as they are there. If a file of the
// source is missing, damaged or unreadable, Copy reports it and copies only the row.
//
// Copy returns what it has done so far also if it fails. progress may be nil.
func Copy(ctx context.Context, from, to *Library, progress func(done, total int)) (CopyReport, error) {
	c := &copying{from: from, to: to, report: CopyReport{Working: []string{}, Problems: []Problem{}}}
	if err := c.copyKeys(ctx); err != nil {
		return c.report, err
	}
	total, err := from.catalog.Count(ctx, States()...)
	if err != nil {
		return c.report, err
	}
	for after := ""; ; {
		page, err := from.catalog.Scan(ctx, after, States()...)
		if err == nil && len(page) == 0 {
			err = c.copyExports(ctx)
			return c.report, err
		}
		if err != nil {
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

// copyKeys makes links to images of the source, and sessions of its gallery, valid in the
// target. A target that has images keeps its keys, because links to these were given out.
func (c *copying) copyKeys(ctx context.Context) error {
	images, err := c.to.catalog.Count(ctx, States()...)
	if err != nil {
		return err
	}
	if c.report.KeepLink, err = c.copyKey(ctx, linkKeyName, images == 0); err != nil {
		return err
	}
	_, err = c.copyKey(ctx, galleryKeyName, images == 0)
	return err
}

// copyKey copies a key of the source to the target, or only if the target has none. It
// reports whether both have the same key then.
func (c *copying) copyKey(ctx context.Context, name string, replace bool) (same bool, err error) {
	key, err := secretKey(ctx, c.from.catalog, name)
	if err != nil {
		return false, err
	}
	current, err := c.to.catalog.Setting(ctx, name, key)
	switch {
	case err != nil:
		return false, err
	case bytes.Equal(current, key):
		return true, nil
	case replace:
		return true, c.to.catalog.SetSetting(ctx, name, key)
	default:
		return false, nil
	}
}

// copyExports copies the records of files that were written for users. A record of the
// target stays, unless that of the source is newer.
func (c *copying) copyExports(ctx context.Context) error {
	for after := ""; ; {
		page, err := c.from.catalog.ExportsAfter(ctx, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, e := range page {
			current, err := c.to.catalog.ExportAt(ctx, e.Path)
			if errors.Is(err, ErrNotFound) || err == nil && current.CreatedAt.Before(e.CreatedAt) {
				err = c.to.catalog.RecordExport(ctx, e)
			}
			if err != nil {
				return err
			}
			after = e.Path
		}
	}
}

// copyPage copies the rows of a page, which follow the id after, and their files.
func (c *copying) copyPage(ctx context.Context, page []Row, after string) error {
	known, err := c.known(ctx, after, page[len(page)-1].ID)
	if err != nil {
		return err
	}
	rows := make([]*Row, len(page)) // nil for rows that are left out
	files, filesCtx := errgroup.WithContext(ctx)
	files.SetLimit(filesAtOnce)
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
