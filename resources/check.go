package resources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// ProblemKind classifies a Problem.
type ProblemKind string

// The kinds of problem that Check finds.
const (
	Missing        ProblemKind = "missing"      // the file of a saved image does not exist
	Damaged        ProblemKind = "damaged"      // the file of a saved image differs from what was saved
	Unreadable     ProblemKind = "unreadable"   // this user may not read a file or folder
	Moved          ProblemKind = "moved"        // the file of a saved image has another name in the store
	Orphan         ProblemKind = "orphan"       // a file that is not in the catalog
	StaleFile      ProblemKind = "leftover"     // a partial file, or the file of a removed image
	Unsaved        ProblemKind = "unsaved"      // paid for, but the download failed or the answer could not be saved
	Orphaned       ProblemKind = "left_behind"  // its process died, and no other has taken it over yet
	CatalogDamaged ProblemKind = "catalog"      // the catalog's file is damaged
	StaleExport    ProblemKind = "stale_export" // a file in the cache of exports that belongs to no image
	ExportsFull    ProblemKind = "exports_full" // the cache of exports is larger than its limit
)

// Problem is one defect of a library.
type Problem struct {
	Kind   ProblemKind `json:"kind"`
	ID     string      `json:"id,omitempty"`
	Path   string      `json:"path,omitempty"` // name in the store
	Detail string      `json:"detail"`
}

// Report is the result of Check.
type Report struct {
	Images      int       `json:"pictures"`     // saved images that were checked
	Bytes       int64     `json:"bytes"`        // their total size
	Working     int       `json:"working"`      // being made by a live process
	Unknown     int       `json:"unknown"`      // may have been billed, without an image
	Exports     int       `json:"exports"`      // files in the cache of exports
	ExportBytes int64     `json:"export_bytes"` // their total size
	Problems    []Problem `json:"problems"`
}

// Check compares the catalog with the store. It reports saved images whose file is
// missing or differs from the recorded size or, if readData is set, from the
// recorded hash; files that are not in the catalog; images whose process died; and a cache
// of exports that is too large or has files of removed images.
// Check repairs nothing, and servers may generate images meanwhile. It fails if it
// could not check everything. progress may be nil, and is called concurrently.
func (l *Library) Check(ctx context.Context, readData bool, progress func(done, total int)) (Report, error) {
	report := Report{Problems: []Problem{}}
	switch defect, err := l.catalog.Verify(ctx); {
	case err != nil:
		return report, err
	case defect != "":
		report.Problems = append(report.Problems, Problem{Kind: CatalogDamaged, Detail: defect})
	}
	saved, err := l.catalog.Count(ctx, Saved)
	if err != nil {
		return report, err
	}
	var found Listing
	// Files are listed before rows, so that an image that is saved meanwhile is not
	// reported as an orphan.
	if err = l.store.Present(ctx); err == nil {
		found, err = l.store.Walk(ctx)
	}
	if err != nil && saved > 0 { // before the first image there is no folder
		return report, err
	}
	for _, name := range found.Temporary {
		report.Problems = append(report.Problems, Problem{Kind: StaleFile, Path: name, Detail: "a partial file of a process that died"})
	}
	for _, name := range found.Unreadable {
		report.Problems = append(report.Problems, Problem{Kind: Unreadable, Path: name, Detail: "the folder cannot be read"})
	}
	if err := l.checkSaved(ctx, readData, found.Files, &report, saved, progress); err != nil {
		return report, err
	}
	if err := l.checkOrphans(ctx, found.Files, &report); err != nil {
		return report, err
	}
	if err := l.checkUnsaved(ctx, &report); err != nil {
		return report, err
	}
	return report, l.checkExports(ctx, &report)
}

// checkSaved checks the file of every saved image, and deletes its name from files.
func (l *Library) checkSaved(ctx context.Context, readData bool, files map[string]string, report *Report, total int, progress func(done, total int)) error {
	var (
		mu   sync.Mutex
		done atomic.Int64
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(filesAtOnce, runtime.GOMAXPROCS(0)))
	for after := ""; ; {
		page, err := l.catalog.Scan(ctx, after, Saved)
		if err != nil || len(page) == 0 {
			return errors.Join(err, group.Wait())
		}
		after = page[len(page)-1].ID
		for _, i := range page {
			delete(files, i.Path)
			report.Images++
			report.Bytes += i.Bytes
			group.Go(func() error {
				problem, err := l.checkFile(ctx, i.Image, readData)
				if problem != nil {
					mu.Lock()
					report.Problems = append(report.Problems, *problem)
					mu.Unlock()
				}
				if n := int(done.Add(1)); progress != nil {
					progress(min(n, total), total)
				}
				return err
			})
		}
	}
}

// checkFile returns the problem of a saved image's file, or nil if the file is
// intact. Before it reports a problem, it reads the row again: the image may have
// been removed, or its file moved.
func (l *Library) checkFile(ctx context.Context, i Image, readData bool) (*Problem, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := l.store.Open(ctx, i.Path)
	if err == nil {
		defer file.Close()
		info, statErr := file.Info()
		switch {
		case statErr != nil:
			err = statErr
		case info.Size != i.Bytes:
			err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, info.Size, i.Bytes)
		case readData:
			err = verifyHash(file, i)
		}
	}
	if err == nil {
		return nil, nil //nolint:nilnil // the file is intact
	}
	current, findErr := l.image(ctx, i.ID)
	if errors.Is(findErr, ErrNotFound) || findErr == nil && current.Path != i.Path {
		return nil, nil //nolint:nilnil // the image was removed, or its file moved
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	problem := Problem{Kind: Unreadable, ID: i.ID, Path: i.Path, Detail: err.Error()}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		problem.Kind, problem.Detail = Missing, "the file does not exist"
	case errors.Is(err, ErrCorrupt):
		problem.Kind = Damaged
	}
	return &problem, findErr
}

// exists reports whether the store has a file. It returns false if the store cannot
// be used.
func (l *Library) exists(ctx context.Context, name string) bool {
	_, err := l.store.Stat(ctx, name)
	return err == nil
}

// removalGrace is how long the file of a removed image may still exist.
const removalGrace = time.Minute

// checkOrphans reports the files that no saved image refers to. It leaves out files
// of images being made, copies, and files of images removed within removalGrace.
// It also removes the Missing problems of files that were moved.
func (l *Library) checkOrphans(ctx context.Context, files map[string]string, report *Report) error {
	moved := map[string]bool{} // ids
	defer func() {
		report.Problems = slices.DeleteFunc(report.Problems, func(p Problem) bool { return p.Kind == Missing && moved[p.ID] })
	}()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		i, err := l.catalog.Row(ctx, files[name])
		problem := Problem{Kind: Orphan, ID: files[name], Path: name, Detail: "not in the catalog; images reindex adds it"}
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return err
		case i.State == Removed && l.now().Sub(i.UpdatedAt) < removalGrace:
			continue
		case i.State == Removed:
			problem.Kind, problem.Detail = StaleFile, "the image was removed, but its file still exists"
		case i.Working() || i.State == FetchFailed || i.Path == name || i.State == Saved && l.exists(ctx, i.Path):
			continue // being made, saved meanwhile, or a copy
		case i.State == Saved:
			problem.Kind, problem.Detail = Moved, "it was saved as "+i.Path
			moved[i.ID] = true
		}
		if !l.exists(ctx, name) {
			continue // deleted meanwhile
		}
		report.Problems = append(report.Problems, problem)
	}
	return nil
}

// checkUnsaved reports images that were paid for but never saved, and images whose
// process died. It counts images in progress and those with an unknown outcome.
func (l *Library) checkUnsaved(ctx context.Context, report *Report) error {
	unsaved := StatesThat(func(s State) bool { return s.Recoverable() || s == Unknown || s == Lost })
	for after := ""; ; {
		page, err := l.catalog.Scan(ctx, after, unsaved...)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		for _, i := range page {
			switch {
			case i.Sandbox && !i.Working():
				// It cost nothing, and its sandbox has ended.
			case i.Status() == StatusUnknown:
				report.Unknown++
			case i.State == Lost && i.SHA256 != "":
				// It was saved once. Repair gave up its damaged or missing file.
			case i.State == FetchFailed || i.State == Lost:
				report.Problems = append(report.Problems, Problem{Kind: Unsaved, ID: i.ID, Detail: i.message()})
			case !i.LeaseAlive:
				report.Problems = append(report.Problems, Problem{Kind: Orphaned, ID: i.ID, Detail: "its process ended in state " + string(i.State)})
			default:
				report.Working++
			}
		}
	}
}

// message returns why the image is not saved.
func (i Image) message() string {
	if i.Failure == nil {
		return ""
	}
	return i.Failure.Message
}
