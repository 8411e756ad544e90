package resources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// ProblemKind says what is wrong with an image.
type ProblemKind string

// What Check finds.
const (
	Missing        ProblemKind = "missing"     // it is saved, but its file is gone
	Damaged        ProblemKind = "damaged"     // it is saved, but its file is another
	Unreadable     ProblemKind = "unreadable"  // the system does not let its file be read
	Moved          ProblemKind = "moved"       // its file lies elsewhere in the folder
	Orphan         ProblemKind = "orphan"      // a file of which the catalog does not know
	StaleFile      ProblemKind = "leftover"    // a file that nobody wants: half written, or of a removed image
	Unsaved        ProblemKind = "unsaved"     // it is paid for and could not be brought home
	Orphaned       ProblemKind = "left_behind" // its process died, and nobody took it up yet
	CatalogDamaged ProblemKind = "catalog"     // the catalog's file is damaged
)

// Problem is one thing that is wrong.
type Problem struct {
	Kind   ProblemKind `json:"kind"`
	ID     string      `json:"id,omitempty"`
	Path   string      `json:"path,omitempty"` // below the folder
	Detail string      `json:"detail"`
}

// Report is what Check found.
type Report struct {
	Images   int       `json:"pictures"` // saved ones that were looked at
	Bytes    int64     `json:"bytes"`    // of them
	Working  int       `json:"working"`  // being made by a living process
	Unknown  int       `json:"unknown"`  // may have been billed, and there is no image
	Problems []Problem `json:"problems"`
}

// Check compares catalog and folder: every saved image has its file in its
// size, and with readData with its very bytes; every file has its row; nothing
// is left behind. It changes nothing and may run beside servers that make
// images. An error means that it could not look everywhere.
func (l *Library) Check(ctx context.Context, readData bool, progress func(done, total int)) (Report, error) {
	report := Report{Problems: []Problem{}}
	if err := l.checkCatalog(ctx, &report); err != nil {
		return report, err
	}
	saved, err := l.catalog.count(ctx, Saved)
	if err != nil {
		return report, err
	}
	var found listing
	// Files before rows: an image that is saved meanwhile is no orphan.
	if err = l.checkFolder(); err == nil {
		found, err = l.store.list()
	}
	if err != nil && saved > 0 { // before the first image there is no folder
		return report, err
	}
	files := found.files
	for _, name := range found.temps {
		report.Problems = append(report.Problems, Problem{Kind: StaleFile, Path: name, Detail: "half written by a process that died"})
	}
	for _, name := range found.unreadable {
		report.Problems = append(report.Problems, Problem{Kind: Unreadable, Path: name, Detail: "the folder cannot be read"})
	}
	if err := l.checkSaved(ctx, readData, files, &report, saved, progress); err != nil {
		return report, err
	}
	if err := l.checkOrphans(ctx, files, &report); err != nil {
		return report, err
	}
	return report, l.checkUnsaved(ctx, &report)
}

// inPlace refuses to look after a library that is not there: its disk may not
// be mounted, or its name misspelled.
func (l *Library) checkFolder() error {
	if info, err := os.Stat(l.store.dir); err != nil || !info.IsDir() {
		return folderError(l.store.dir, errGone)
	}
	return nil
}

// checkCatalog checks the structure of the catalog's file, on a connection of
// its own: one that searched before may hold a stale view of the search index.
func (l *Library) checkCatalog(ctx context.Context, report *Report) error {
	opened, err := l.catalog.open(ctx)
	if err != nil {
		return err
	}
	db, err := l.catalog.connect(opened.readOnly, 1)
	if err != nil {
		return l.catalog.storageError("checking the catalog", err)
	}
	defer db.Close()
	var result string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil {
		return l.catalog.storageError("checking the catalog", err)
	}
	if result != "ok" {
		report.Problems = append(report.Problems, Problem{Kind: CatalogDamaged, Detail: result})
	}
	return nil
}

// checkSaved looks at the file of every saved image and strikes it off the
// list of files.
func (l *Library) checkSaved(ctx context.Context, readData bool, files map[string]string, report *Report, total int, progress func(done, total int)) error {
	var (
		mu   sync.Mutex
		done atomic.Int64
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for after := ""; ; {
		page, err := l.catalog.scan(ctx, after, Saved)
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

// checkFile looks at one file. What is wrong is looked at again in the light
// of the newest row, as the image may be removed meanwhile.
func (l *Library) checkFile(ctx context.Context, i Image, readData bool) (*Problem, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := l.store.openFile(i.Path)
	if err == nil {
		defer file.Close()
		info, statErr := file.Stat()
		switch {
		case statErr != nil:
			err = fileError(i.Path, statErr)
		case info.Size() != i.Bytes:
			err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, info.Size(), i.Bytes)
		case readData:
			err = verify(file, i)
		}
	}
	if err == nil {
		return nil, nil //nolint:nilnil // nothing is wrong
	}
	now, findErr := l.catalog.getByID(ctx, i.ID)
	if errors.Is(findErr, ErrNotFound) || findErr == nil && now.Path != i.Path {
		return nil, nil //nolint:nilnil // it was removed meanwhile
	}
	problem := Problem{Kind: Unreadable, ID: i.ID, Path: i.Path, Detail: err.Error()}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		problem.Kind, problem.Detail = Missing, "the file is gone"
	case errors.Is(err, ErrCorrupt):
		problem.Kind = Damaged
	}
	return &problem, findErr
}

// removalGrace is how long the file of a removed image may still be there.
const removalGrace = time.Minute

// checkOrphans looks why no saved row names a file.
func (l *Library) checkOrphans(ctx context.Context, files map[string]string, report *Report) error {
	moved := map[string]bool{} // ids
	defer func() {
		report.Problems = slices.DeleteFunc(report.Problems, func(p Problem) bool { return p.Kind == Missing && moved[p.ID] })
	}()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		i, err := l.catalog.lookup(ctx, files[name])
		problem := Problem{Kind: Orphan, ID: files[name], Path: name, Detail: "the catalog does not know it; reindex takes it in"}
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return err
		case i.State == Removed && l.now().Sub(i.updatedAt) < removalGrace:
			continue
		case i.State == Removed:
			problem.Kind, problem.Detail = StaleFile, "it was removed, but the file is still there"
		case i.Working() || i.State == Answered || i.Path == name || i.State == Saved && l.store.exists(i.Path):
			continue // in the making, saved meanwhile, or a copy
		case i.State == Saved:
			problem.Kind, problem.Detail = Moved, "it was saved as "+i.Path
			moved[i.ID] = true
		}
		if !l.store.exists(name) {
			continue // it went away meanwhile
		}
		report.Problems = append(report.Problems, problem)
	}
	return nil
}

// checkOpen looks for what is paid for and not at home.
func (l *Library) checkUnsaved(ctx context.Context, report *Report) error {
	for after := ""; ; {
		page, err := l.catalog.scan(ctx, after, Queued, Submitted, Answered, Unknown)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		for _, i := range page {
			switch {
			case i.Sandbox && !i.Working():
				// Nothing was paid for it, and the sandbox that made it is gone.
			case i.State == Unknown:
				report.Unknown++
			case i.Failure != nil:
				report.Problems = append(report.Problems, Problem{Kind: Unsaved, ID: i.ID, Detail: i.Failure.Message})
			case i.leaseUntil.Before(l.now()):
				report.Problems = append(report.Problems, Problem{Kind: Orphaned, ID: i.ID, Detail: "its process ended in state " + string(i.State)})
			default:
				report.Working++
			}
		}
	}
}

// imageFile matches the names that this program gives to images, and
// imageFolder those of the folders they are in.
var (
	imageFile   = regexp.MustCompile(`-([0-9a-hjkmnp-tv-z]{26})\.(?:png|jpg|webp|gif)$`)
	imageFolder = regexp.MustCompile(`^\d{4}(?:/\d\d(?:/\d\d)?)?$`)
)

// listing is what is in a store's folder.
type listing struct {
	files      map[string]string // ids of the images, by name
	temps      []string          // left by processes that died
	unreadable []string          // folders of images that the system does not let us read
}

// list walks the folder. Folders of others that cannot be read, such as
// lost+found, are skipped.
func (s *store) list() (listing, error) {
	root, err := s.open()
	if err != nil {
		return listing{}, err
	}
	found := listing{files: map[string]string{}}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		hidden := strings.HasPrefix(base, ".") && name != "."
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it went away meanwhile
		case err != nil && name == ".":
			return err
		case err != nil:
			if imageFolder.MatchString(name) {
				found.unreadable = append(found.unreadable, name)
			}
			return fs.SkipDir
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		case strings.HasPrefix(base, tempPrefix):
			if info, err := entry.Info(); err == nil && s.now().Sub(info.ModTime()) > staleTempAge {
				found.temps = append(found.temps, name)
			}
		case !hidden:
			if m := imageFile.FindStringSubmatch(base); m != nil && ValidID(m[1]) {
				found.files[name] = m[1]
			}
		}
		return nil
	})
	if err != nil {
		return listing{}, folderError(s.dir, withoutPath(err))
	}
	return found, nil
}

func (s *store) exists(name string) bool {
	root, err := s.open()
	if err != nil {
		return false
	}
	info, err := root.Lstat(name)
	return err == nil && info.Mode().IsRegular()
}
