package resources_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/webp"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/label"
	"zai-image-mcp/resources/render"
)

// spec parses the text of a spec.
func spec(t testing.TB, text string) render.Spec {
	t.Helper()
	s, err := render.ParseSpec(text)
	require.NoError(t, err)
	return s
}

// cacheFiles returns the paths of the files in the cache of exports.
func cacheFiles(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, ".exports", "*", "*", "*", "*"))
	require.NoError(t, err)
	return files
}

// disc returns an image of a disc on a plain background.
func disc(size int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			c := color.RGBA{250, 250, 250, 255}
			if dx, dy := x-size/2, y-size/2; dx*dx+dy*dy < size*size/9 {
				c = color.RGBA{180, 30, 40, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

// An export has the format and the size of its spec. The same export has the same bytes,
// from the cache, after the cache was deleted, and in another library. The original
// stays as it is.
func TestExport_Deterministic(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	file := encodePNG(t, disc(300))
	i := save(t, l, "A red disc", file)
	for _, tt := range []struct {
		spec, mime    string
		width, height int
		decode        func(io.Reader) (image.Config, error)
	}{
		{"png-64x32-cover", "image/png", 64, 32, png.DecodeConfig},
		{"jpg", "image/jpeg", 300, 300, jpeg.DecodeConfig},
		{"jpg-80x40-contain-0000ff", "image/jpeg", 80, 40, jpeg.DecodeConfig},
		{"webp-120x63-cover", "image/webp", 120, 63, webp.DecodeConfig},
		{"png-transparent", "image/png", 300, 300, png.DecodeConfig},
		{"png-400x400-cover", "image/png", 400, 400, png.DecodeConfig},
		{"ico", "image/x-icon", 48, 48, nil},
	} {
		first, err := l.Export(t.Context(), i, spec(t, tt.spec))
		require.NoError(t, err, tt.spec)
		assert.Equal(t, []any{tt.spec, tt.mime, tt.width, tt.height}, []any{first.Spec.String(), first.MIMEType, first.Width, first.Height})
		assert.Equal(t, sha256Hex(first.Data), first.SHA256)
		assert.Equal(t, tt.width > 300, first.Enlarged)
		assert.Equal(t, strings.Contains(tt.spec, "transparent"), first.Cleared > 0.3, tt.spec)
		assert.False(t, first.Signed)
		if tt.decode != nil {
			config, err := tt.decode(bytes.NewReader(first.Data))
			require.NoError(t, err, tt.spec)
			assert.Equal(t, [2]int{tt.width, tt.height}, [2]int{config.Width, config.Height})
		}
		require.Len(t, cacheFiles(t, folder), 1, tt.spec)
		again, err := l.Export(t.Context(), i, first.Spec)
		require.NoError(t, err)
		assert.Equal(t, first, again, "from the cache")
		require.NoError(t, os.RemoveAll(filepath.Join(folder, ".exports")))
		again, err = open(t, folder).Export(t.Context(), i, first.Spec)
		require.NoError(t, err)
		assert.Equal(t, first, again, "made again")
		require.NoError(t, os.RemoveAll(filepath.Join(folder, ".exports")))
	}
	kept, err := l.Read(t.Context(), i)
	require.NoError(t, err)
	assert.Equal(t, file, kept)
}

// An export that changes no pixel is the original with a label, and is not cached. An
// original with Content Credentials stays unchanged.
func TestExport_Unchanged(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	file := testrig.PNGPhoto(t, 40, 30)
	i := save(t, l, "A fox", file)
	e, err := l.Export(t.Context(), i, spec(t, "png"))
	require.NoError(t, err)
	assert.False(t, e.Signed)
	assert.Equal(t, "A fox", labelIn(t, e.Data, "image/png").AltText)
	for _, part := range []string{"IDAT", "IEND"} { // the pixels are the same bytes
		_, want, ok := bytes.Cut(file, []byte(part))
		require.True(t, ok)
		_, got, _ := bytes.Cut(e.Data, []byte(part))
		assert.Equal(t, want, got)
	}
	signed := withChunk(file, "caBX", []byte("\x00\x00\x00\x10jumb manifest"))
	i = save(t, l, "signed", signed)
	assert.Equal(t, []string{label.C2PA}, i.Marks)
	for _, mode := range []label.Mode{label.Source, label.None} {
		other := openWith(t, libraryOptions{Folder: folder, Label: label.Policy{Mode: mode}})
		e, err = other.Export(t.Context(), i, spec(t, "png"))
		require.NoError(t, err)
		assert.True(t, e.Signed, mode)
		assert.Equal(t, signed, e.Data, mode)
	}
	assert.Empty(t, cacheFiles(t, folder))
	e, err = l.Export(t.Context(), i, spec(t, "png-20x20-cover"))
	require.NoError(t, err)
	assert.False(t, e.Signed, "other pixels have no valid signature")
	assert.Equal(t, "signed", labelIn(t, e.Data, "image/png").AltText)
	assert.NotContains(t, string(e.Data), "jumb")
}

// An original that can be decoded but not labelled is rendered, so that the export has a
// label.
func TestExport_OriginalWithoutPlaceForLabel(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	file := withChunk(encodePNG(t, disc(40)), "zTXt", []byte("AIGC\x00\x00not compressed"))
	_, err := label.Add(file, "image/png", label.Label{})
	require.ErrorIs(t, err, label.ErrMalformed)
	e, err := l.Export(t.Context(), save(t, l, "A fox", file), spec(t, "png"))
	require.NoError(t, err)
	assert.Equal(t, "A fox", labelIn(t, e.Data, "image/png").AltText)
	img, err := png.Decode(bytes.NewReader(e.Data))
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 40, 40), img.Bounds())
}

// A damaged or foreign file in the cache is not used, and is made again. A cache that
// cannot be used does not fail an export.
func TestExport_CacheUnusable(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	i, other := save(t, l, "A fox", testrig.PNGPhoto(t, 80, 60)), save(t, l, "B hen", encodePNG(t, disc(80)))
	s := spec(t, "webp-40x30-cover")
	_, err := l.Export(t.Context(), other, s)
	require.NoError(t, err)
	foreign, err := os.ReadFile(cacheFiles(t, folder)[0])
	require.NoError(t, err)
	require.NoError(t, os.Remove(cacheFiles(t, folder)[0]))
	want, err := l.Export(t.Context(), i, s)
	require.NoError(t, err)
	path := cacheFiles(t, folder)[0]
	cached, err := os.ReadFile(path)
	require.NoError(t, err)
	flipped := bytes.Clone(cached)
	flipped[len(want.Data)/3] ^= 1
	for name, content := range map[string][]byte{
		"flipped bit": flipped, "cut": cached[:len(cached)-10], "half": cached[:len(cached)/2], "empty": {}, "HTML": []byte("<html>\n{}"), "of another image": foreign,
		"other version": bytes.Replace(cached, []byte(`"version":`), []byte(`"version":9`), 1),
	} {
		require.NoError(t, os.WriteFile(path, content, 0o600))
		got, err := l.Export(t.Context(), i, s)
		require.NoError(t, err, name)
		assert.Equal(t, want, got, name)
		stored, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, cached, stored, "%s: made again", name)
	}
	require.NoError(t, os.RemoveAll(filepath.Join(folder, ".exports")))
	require.NoError(t, os.WriteFile(filepath.Join(folder, ".exports"), nil, 0o600))
	got, err := open(t, folder).Export(t.Context(), i, s)
	require.NoError(t, err, "the cache is not a folder")
	assert.Equal(t, want, got)
}

// gate is a store that counts how often the images are opened, and can make Open wait.
type gate struct {
	resources.Store
	opens  atomic.Int64
	opened chan string   // receives the name of each file that is opened; may be nil
	wait   chan struct{} // Open waits until it is closed
}

func (g *gate) Open(ctx context.Context, name string) (resources.File, error) {
	g.opens.Add(1)
	if g.opened != nil {
		g.opened <- name
		<-g.wait
	}
	return g.Store.Open(ctx, name)
}

// Equal exports that are requested at the same time are made once, and so is the decoding
// for the files of a set.
func TestExport_MadeOnce(t *testing.T) {
	t.Parallel()
	g := &gate{}
	l := openWith(t, libraryOptions{WrapStore: func(s resources.Store) resources.Store { g.Store = s; return g }})
	i := save(t, l, "A fox", testrig.PNGPhoto(t, 200, 200))
	s := spec(t, "webp-100x100-cover")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := l.Export(t.Context(), i, s)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.EqualValues(t, 1, g.opens.Load())
	specs := []render.Spec{spec(t, "png-32x32-cover"), s, spec(t, "ico"), spec(t, "png-32x32-cover")}
	list, err := l.Exports(t.Context(), i, specs...)
	require.NoError(t, err)
	assert.EqualValues(t, 2, g.opens.Load())
	for n, e := range list {
		assert.Equal(t, specs[n], e.Spec)
		one, err := l.Export(t.Context(), i, specs[n])
		require.NoError(t, err)
		assert.Equal(t, one, e)
	}
	assert.EqualValues(t, 2, g.opens.Load())
	none, err := l.Exports(t.Context(), i)
	require.NoError(t, err)
	assert.Empty(t, none)
}

// An export whose caller has gone is not made.
func TestExport_GivesUpItsPlace(t *testing.T) {
	t.Parallel()
	slots := max(1, runtime.GOMAXPROCS(0)-1)
	g := &gate{}
	l := openWith(t, libraryOptions{WrapStore: func(s resources.Store) resources.Store { g.Store = s; return g }})
	var images []resources.Image
	for n := range slots + 2 {
		images = append(images, save(t, l, "A fox", encodePNG(t, disc(20+n))))
	}
	g.opened, g.wait = make(chan string, len(images)), make(chan struct{})
	s := spec(t, "png-10x10-cover")
	var all sync.WaitGroup
	export := func(ctx context.Context, i resources.Image) {
		all.Go(func() {
			_, err := l.Export(ctx, i, s)
			assert.NoError(t, err)
		})
	}
	for _, i := range images[:slots] {
		export(t.Context(), i)
	}
	for range slots {
		<-g.opened // every place is taken
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	gone, last := images[slots], images[slots+1]
	_, err := l.Export(ctx, gone, s)
	require.ErrorIs(t, err, context.Canceled)
	export(t.Context(), last)
	close(g.wait)
	all.Wait()
	close(g.opened)
	for name := range g.opened {
		assert.NotEqual(t, gone.Path, name)
	}
	assert.EqualValues(t, slots+1, g.opens.Load())
}

// The cache stays below its limit, also if many short processes fill it. The oldest files
// are deleted.
func TestExport_CacheLimit(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	const limit = 20_000
	for n := range 12 {
		l := openWith(t, libraryOptions{Folder: folder, ExportsLimit: limit})
		i := save(t, l, "A fox", testrig.PNGPhoto(t, 40+n, 40))
		_, err := l.Export(t.Context(), i, spec(t, "png-40x40-cover"))
		require.NoError(t, err)
		total := int64(0)
		names := ""
		for _, path := range cacheFiles(t, folder) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			total += info.Size()
			names += filepath.Base(path)
		}
		assert.LessOrEqual(t, total, int64(limit))
		assert.Contains(t, names, i.ID)
	}
	l := openWith(t, libraryOptions{Folder: folder, ExportsLimit: 100})
	i := save(t, l, "too large for the cache", testrig.PNGPhoto(t, 64, 64))
	_, err := l.Export(t.Context(), i, spec(t, "png-40x40-cover"))
	require.NoError(t, err)
	for _, path := range cacheFiles(t, folder) {
		assert.NotContains(t, path, i.ID)
	}
}

// Remove deletes the exports of an image from the cache, and no others. An export of an
// image that is removed meanwhile does not stay.
func TestRemove_Exports(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	i, other := save(t, l, "A fox", testrig.PNGPhoto(t, 64, 48)), save(t, l, "B hen", testrig.PNGPhoto(t, 64, 48))
	file, err := os.ReadFile(l.Path(i))
	require.NoError(t, err)
	specs := []render.Spec{spec(t, "ico"), spec(t, "png-10x10-cover")}
	for _, each := range []resources.Image{i, other} {
		_, err := l.Exports(t.Context(), each, specs...)
		require.NoError(t, err)
	}
	require.Len(t, cacheFiles(t, folder), 4)
	require.NoError(t, l.Remove(t.Context(), "local", i.ID))
	check := func() {
		left := cacheFiles(t, folder)
		assert.Len(t, left, 2)
		for _, path := range left {
			assert.Contains(t, path, other.ID)
		}
	}
	check()
	require.NoError(t, os.WriteFile(l.Path(i), file, 0o600)) // as if the decoder had opened it before
	_, err = l.Exports(t.Context(), i, specs...)
	require.NoError(t, err)
	check()
	require.NoError(t, filepath.WalkDir(filepath.Join(folder, ".exports"), func(path string, _ fs.DirEntry, err error) error {
		assert.NotContains(t, strings.ToLower(path), "fox", "no words of the prompt stay")
		return err
	}))
}

// An export fails with a reason if the image is not saved, damaged, or has no plain
// background.
func TestExport_Fails(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	_, err := l.Export(t.Context(), reserve(t, l, "x"), spec(t, "png"))
	require.ErrorIs(t, err, resources.ErrNotFound)
	i := save(t, l, "A fox", testrig.PNGPhoto(t, 64, 48))
	require.NoError(t, os.WriteFile(l.Path(i), encodePNG(t, disc(64)), 0o600)) // another image
	for _, text := range []string{"png", "jpg", "webp-10x10-cover"} {
		_, err = l.Export(t.Context(), i, spec(t, text))
		require.ErrorIs(t, err, resources.ErrCorrupt, text)
	}
	split := image.NewRGBA(image.Rect(0, 0, 100, 100)) // the corners do not agree
	for y := range 100 {
		for x := range 100 {
			split.SetRGBA(x, y, color.RGBA{uint8(x / 50 * 255), uint8(y / 50 * 255), 128, 255})
		}
	}
	_, err = l.Export(t.Context(), save(t, l, "x", encodePNG(t, split)), spec(t, "png-transparent"))
	var refused *render.SpecError
	require.ErrorAs(t, err, &refused)
	require.NotErrorIs(t, err, resources.ErrCorrupt)
	assert.NotEmpty(t, refused.Hint)
	_, err = l.Export(t.Context(), saveFile(t, l, "image/png", ".png", []byte("not an image"), 64, 48), spec(t, "jpg"))
	require.ErrorIs(t, err, resources.ErrCorrupt)
}

func BenchmarkExport(b *testing.B) {
	favicon, err := render.Favicon.Files("public/", "", "")
	require.NoError(b, err)
	var set []render.Spec
	for _, f := range favicon {
		set = append(set, f.Spec)
	}
	for _, tt := range []struct {
		name   string
		cached bool
		specs  []render.Spec
	}{
		{"WebP", false, []render.Spec{spec(b, "webp-1200x630-cover")}},
		{"WebP/cached", true, []render.Spec{spec(b, "webp-1200x630-cover")}},
		{"favicon", false, set},
		{"unchanged", false, []render.Spec{spec(b, "png")}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			folder := b.TempDir()
			l := open(b, folder)
			i := saveFile(b, l, "image/png", ".png", testrig.PNGPhoto(b, 1024, 1024), 1024, 1024)
			b.ReportAllocs()
			for b.Loop() {
				_, err := l.Exports(b.Context(), i, tt.specs...)
				require.NoError(b, err)
				if !tt.cached {
					require.NoError(b, os.RemoveAll(filepath.Join(folder, ".exports")))
				}
			}
		})
	}
}

func BenchmarkSave(b *testing.B) {
	file := testrig.PNGPhoto(b, 1024, 1024)
	b.SetBytes(int64(len(file)))
	l := open(b, b.TempDir())
	for b.Loop() {
		save(b, l, "x", file)
	}
}
