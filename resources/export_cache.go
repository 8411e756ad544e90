package resources

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"zai-image-mcp/resources/render"
)

const (
	// DefaultExportsLimit is the default of Options.ExportsLimit.
	DefaultExportsLimit = 512 << 20
	// trimEvery is how many bytes a process stores in the cache before it looks at the
	// cache's size again.
	trimEvery = 16 << 20
	// maxExport is the size of the largest file in the cache.
	maxExport = 48 << 20
	// exportVersion changes when the same spec gives other bytes, so that files in the
	// cache are made again.
	exportVersion = 1
)

// exportRecord describes a file in the cache. It is a line of JSON after the image, which
// decoders ignore.
type exportRecord struct {
	Version  int     `json:"version"`
	Original string  `json:"original"` // SHA-256 of the image's file in hex
	SHA256   string  `json:"sha256"`   // of the file without the record
	Width    int     `json:"width"`
	Height   int     `json:"height"`
	Enlarged bool    `json:"enlarged"`
	Cleared  float64 `json:"cleared"`
}

// exportName returns the name of an export in the cache: YYYY/MM/DD/<id>-<spec>.<extension>
// with the date of the id. It has no words of the prompt.
func exportName(id string, s render.Spec) string {
	return exportPrefix(id) + s.String() + s.Format.Extension()
}

// exportPrefix returns how the names of an image's exports begin.
func exportPrefix(id string) string {
	parsed, _ := ulid.ParseStrict(strings.ToUpper(id)) // ids in the catalog are valid; others share one folder
	return ulid.Time(parsed.Time()).UTC().Format("2006/01/02/") + id + "-"
}

// exportID returns the id of the image that a file in the cache was made from. ok is false
// for a name that no export has.
func exportID(name string) (id string, ok bool) {
	id, _, ok = strings.Cut(path.Base(name), "-")
	return id, ok && ValidID(id) && strings.HasPrefix(name, exportPrefix(id))
}

// listExports returns the files of the cache whose names begin with prefix. It leaves out
// files that have no name of an export: the folder of the catalog, which the cache is in, may
// be one that users keep other things in.
func (l *Library) listExports(ctx context.Context, prefix string) ([]StoredFile, error) {
	files, err := listFiles(ctx, l.exports, prefix)
	return slices.DeleteFunc(files, func(f StoredFile) bool {
		_, ok := exportID(f.Name)
		return !ok
	}), err
}

// cachedExports returns the files in the cache for each spec, and the positions of those that
// it lacks.
func (l *Library) cachedExports(ctx context.Context, i Image, specs []render.Spec) (list []render.Result, missing []int) {
	list = make([]render.Result, len(specs))
	for n, s := range specs {
		var ok bool
		if list[n], ok = l.cachedExport(ctx, i, s); !ok {
			missing = append(missing, n)
		}
	}
	return list, missing
}

// cachedExport returns a file in the cache. ok is false if there is none, or if it was
// damaged, made from another file, or made by another version of this program.
func (l *Library) cachedExport(ctx context.Context, i Image, s render.Spec) (r render.Result, ok bool) {
	if l.exports == nil {
		return render.Result{}, false
	}
	file, err := l.exports.Open(ctx, exportName(i.ID, s))
	if err != nil {
		return render.Result{}, false
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxExport))
	end := bytes.LastIndexByte(b, '\n')
	if err != nil || end < 0 {
		return render.Result{}, false
	}
	var record exportRecord
	if err := json.Unmarshal(b[end+1:], &record); err != nil {
		return render.Result{}, false
	}
	data := b[:end:end]
	sum := sha256.Sum256(data)
	if record.Version != exportVersion || record.Original != i.SHA256 || record.SHA256 != hex.EncodeToString(sum[:]) {
		return render.Result{}, false
	}
	return render.Result{Data: data, Width: record.Width, Height: record.Height, Enlarged: record.Enlarged, Cleared: record.Cleared}, true
}

// cacheExport stores a file in the cache, unless the image was removed meanwhile. It logs
// failures: a cache that cannot be used makes exports slower, and nothing else.
func (l *Library) cacheExport(ctx context.Context, i Image, s render.Spec, r render.Result) {
	if l.exports == nil {
		return
	}
	ctx = context.WithoutCancel(ctx) // the work is done
	sum := sha256.Sum256(r.Data)
	record, err := json.Marshal(exportRecord{exportVersion, i.SHA256, hex.EncodeToString(sum[:]), r.Width, r.Height, r.Enlarged, r.Cleared})
	size := int64(len(r.Data) + 1 + len(record))
	if err != nil || size > min(maxExport, l.exportsLimit) {
		return
	}
	name := exportName(i.ID, s)
	content := io.MultiReader(bytes.NewReader(r.Data), strings.NewReader("\n"), bytes.NewReader(record))
	if _, _, err := l.exports.Put(ctx, name, content); err != nil {
		l.log.WarnContext(ctx, "failed to store an export", "id", i.ID, "error", err)
		return
	}
	if _, err := l.image(ctx, i.ID); errors.Is(err, ErrNotFound) {
		l.removeExports(ctx, i.ID)
		return
	}
	if l.exportsPut.Add(size) >= trimEvery {
		l.exportsPut.Store(0)
		if _, err := l.trimExports(ctx, l.exportsLimit); err != nil {
			l.log.WarnContext(ctx, "failed to bound the cache of exports", "error", err)
		}
	}
}

// trimExports deletes the oldest files of the cache, if it has more than limit bytes, until
// it has 90 % of that. It returns how many it deleted.
func (l *Library) trimExports(ctx context.Context, limit int64) (deleted int, err error) {
	files, err := l.listExports(ctx, "")
	total := sumOf(files).Bytes
	if err != nil || total <= limit {
		return 0, err
	}
	slices.SortFunc(files, func(a, b StoredFile) int {
		return cmp.Or(a.Modified.Compare(b.Modified), strings.Compare(a.Name, b.Name))
	})
	for _, f := range files {
		if total <= limit/10*9 {
			break
		}
		if err := l.exports.Delete(ctx, f.Name); err != nil {
			return deleted, err
		}
		deleted++
		total -= f.Size
	}
	return deleted, nil
}

// removeExports deletes the exports of an image from the cache. It logs failures; Check
// reports what is left.
func (l *Library) removeExports(ctx context.Context, id string) {
	files, err := l.listExports(ctx, exportPrefix(id))
	for _, f := range files {
		if err == nil {
			err = l.exports.Delete(ctx, f.Name)
		}
	}
	if err != nil {
		l.log.WarnContext(ctx, "failed to remove the exports of an image", "id", id, "error", err)
	}
}
