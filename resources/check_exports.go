package resources

import (
	"context"
	"errors"
	"fmt"
)

// checkExports counts the files in the cache of exports. It reports those of removed or
// unknown images, one problem for each file, and a cache that is larger than its limit.
func (l *Library) checkExports(ctx context.Context, report *Report) error {
	files, err := l.listExports(ctx, "")
	if err != nil {
		return err
	}
	total := sumOf(files).Bytes
	report.Exports, report.ExportBytes = len(files), total
	stale := map[string]string{} // details by image id; "" for files of images that exist
	for _, f := range files {
		id, _ := exportID(f.Name)
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
