package resources

import (
	"context"
	"errors"
	"time"
)

// Usage is the space that a library takes.
type Usage struct {
	Months   []MonthUsage `json:"months"`   // newest first, then by owner
	Previews CacheUsage   `json:"previews"` // of all owners
	Exports  CacheUsage   `json:"exports"`  // of all owners; files that were written for users do not count
}

// MonthUsage is the space that an owner's saved images of one month take.
type MonthUsage struct {
	Month  string `json:"month"` // UTC, as in 2026-11
	Owner  string `json:"owner"`
	Images int    `json:"images"`
	Bytes  int64  `json:"bytes"`
}

// CacheUsage is a number of files that can be made again, and their total size.
type CacheUsage struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Usage returns the space that the library takes. An empty owner means all owners.
func (l *Library) Usage(ctx context.Context, owner string) (Usage, error) {
	months, err := l.catalog.MonthUsage(ctx, owner)
	if err != nil {
		return Usage{}, err
	}
	usage := Usage{Months: append([]MonthUsage{}, months...)}
	previews, err := listFiles(ctx, l.previews, "")
	if err != nil {
		return usage, err
	}
	exports, err := l.listExports(ctx, "")
	usage.Previews, usage.Exports = sumOf(previews), sumOf(exports)
	return usage, err
}

// PruneExports deletes the files in the cache of exports that were made before a time, and
// returns what it deleted. Files that were written for users stay.
func (l *Library) PruneExports(ctx context.Context, before time.Time) (CacheUsage, error) {
	var deleted CacheUsage
	files, err := l.listExports(ctx, "")
	if err != nil {
		return deleted, err
	}
	for _, f := range files {
		if !f.Modified.Before(before) {
			continue
		}
		if err := l.exports.Delete(ctx, f.Name); err != nil {
			return deleted, err
		}
		deleted.Files++
		deleted.Bytes += f.Size
	}
	return deleted, nil
}

// listFiles returns the files of a store whose names begin with prefix. It creates nothing;
// a store that is nil or does not exist has no files.
func listFiles(ctx context.Context, s Store, prefix string) (files []StoredFile, err error) {
	if s == nil {
		return nil, nil
	}
	switch err := s.Present(ctx); {
	case errors.Is(err, ErrGone): // nothing was stored yet
		return nil, nil
	case err != nil:
		return nil, err
	}
	err = s.List(ctx, prefix, func(f StoredFile) error {
		files = append(files, f)
		return nil
	})
	return files, err
}

func sumOf(files []StoredFile) (sum CacheUsage) {
	for _, f := range files {
		sum.Files++
		sum.Bytes += f.Size
	}
	return sum
}
