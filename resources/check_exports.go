package resources

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// checkExports counts the files in the cache of exports. It reports those of removed or
// unknown images, one problem for each file, and a cache that is larger than its limit.
func (l *Library) checkExports(ctx context.Context, report *Report) error {
	files, total, err := l.listExports(ctx, "")
	if err != nil {
		return err
	}
	report.Exports, report.ExportBytes = len(files), total
	stale := map[string]string{} // details by image id; "" for files of images that exist
	for _, f := range files {
		id, ok := exportID(f.Name)
		if !ok {
			id = ""
		}
		detail, known := stale[id]
		if !known {
			if detail, err = l.staleExport(ctx, id); err != nil {
				return err
			}
			stale[id] = detail
		}
		if detail != "" {
			report.Problems = append(report.Problems, Problem{Kind: StaleExport, ID: id, Path: f.Name, Detail: detail})
		}
	}
	// Each process looks at the size only now and then.
	if slack := max(l.exportsLimit/8, 4*trimEvery); total > l.exportsLimit+slack {
		report.Problems = append(report.Problems, Problem{Kind: ExportsFull, Detail: fmt.Sprintf("%d bytes; the limit is %d", total, l.exportsLimit)})
	}
	return nil
}

// staleExport returns why the cache should have no exports of an image, "" if it may.
func (l *Library) staleExport(ctx context.Context, id string) (detail string, err error) {
	if id == "" {
		return "its name is not that of an export", nil
	}
	row, err := l.catalog.Row(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return "the image is not in the catalog", nil
	case err != nil:
		return "", err
	case row.State == Removed && l.now().Sub(row.UpdatedAt) >= removalGrace:
		return "the image was removed", nil
	}
	return "", nil
}

// PruneExports deletes the files in the cache of exports that were made longer ago than
// olderThan; 0 deletes all. Files that were written for users stay. It returns how many it
// deleted, and their size in bytes.
func (l *Library) PruneExports(ctx context.Context, olderThan time.Duration) (deleted int, size int64, err error) {
	files, _, err := l.listExports(ctx, "")
	if err != nil {
		return 0, 0, err
	}
	before := l.now().Add(-olderThan)
	for _, f := range files {
		if olderThan > 0 && f.Modified.After(before) {
			continue
		}
		if err := l.exports.Delete(ctx, f.Name); err != nil {
			return deleted, size, err
		}
		deleted++
		size += f.Size
	}
	return deleted, size, nil
}
