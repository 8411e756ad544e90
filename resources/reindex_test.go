package resources_test

import (
	"bytes"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/label"
)

// Without a catalog, Reindex restores all images from their files.
func TestReindex_CatalogLost(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	created := time.Date(2026, 3, 4, 5, 6, 7, 890e6, time.UTC)
	first := newLibrary(libraryOptions{Folder: folder, Now: func() time.Time { return created }, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	encode := map[string]func(*bytes.Buffer, image.Image) error{
		".png": func(b *bytes.Buffer, i image.Image) error { return png.Encode(b, i) },
		".jpg": func(b *bytes.Buffer, i image.Image) error { return jpeg.Encode(b, i, nil) },
		".gif": func(b *bytes.Buffer, i image.Image) error { return gif.Encode(b, i, nil) },
	}
	want := map[string]resources.Image{}
	for extension, write := range encode {
		var b bytes.Buffer
		require.NoError(t, write(&b, image.NewGray(image.Rect(0, 0, 40, 30))))
		i, err := first.Save(t.Context(), reserve(t, first, "A fox, 狐狸"), resources.Content{
			Reader: &b, MIMEType: map[string]string{".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif"}[extension], Extension: extension, Width: 40, Height: 30,
		}, "")
		require.NoError(t, err)
		want[i.ID] = i
	}
	require.NoError(t, first.Close())
	gone, err := filepath.Glob(filepath.Join(folder, ".catalog.db*"))
	require.NoError(t, err)
	for _, path := range gone {
		require.NoError(t, os.Remove(path))
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "a photo of the user.png"), tiny(t, 1), 0o600))
	_, broken := putFile(t, first, folder, "broken", []byte("\x89PNG\r\n\x1a\n and no more"))

	l := open(t, folder)
	list, err := l.Reindex(t.Context(), "alice", nil)
	require.NoError(t, err)
	assert.Len(t, list, len(want)+1, "files with other names are ignored")
	for _, a := range list {
		assert.Equal(t, a.Path != broken, a.OK, a.Note)
	}
	for id, i := range want {
		back, err := l.Image(t.Context(), "alice", id)
		require.NoError(t, err)
		assert.Equal(t, []any{i.Path, i.MIMEType, i.SHA256, i.Bytes, i.Width, i.Height, resources.Saved, "a fox 狐狸", false},
			[]any{back.Path, back.MIMEType, back.SHA256, back.Bytes, back.Width, back.Height, back.State, back.Prompt, back.Charged})
		assert.Equal(t, []time.Time{created, created}, []time.Time{i.CreatedAt, back.CreatedAt})
		_, err = l.Read(t.Context(), back)
		require.NoError(t, err)
	}
	again, err := l.Reindex(t.Context(), "alice", nil)
	require.NoError(t, err)
	assert.Len(t, again, 1, "only the broken file is reported again")
}

// Reindex handles files of images that are already in the catalog: moved, copied,
// removed, unfinished or replaced.
func TestReindex_ExistingImages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	moved, copied, removed := save(t, l, "moved", tiny(t, 1)), save(t, l, "copied", tiny(t, 2)), save(t, l, "removed", tiny(t, 3))
	otherBytes := save(t, l, "other bytes", tiny(t, 4))
	elsewhere := filepath.Join(folder, "favourites")
	require.NoError(t, os.MkdirAll(elsewhere, 0o755))
	require.NoError(t, os.Rename(l.Path(moved), filepath.Join(elsewhere, filepath.Base(moved.Path))))
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, filepath.Base(copied.Path)), tiny(t, 2), 0o600))
	require.NoError(t, os.Remove(l.Path(otherBytes)))
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, filepath.Base(otherBytes.Path)), tiny(t, 5), 0o600))
	require.NoError(t, l.Remove(t.Context(), "local", removed.ID))
	require.NoError(t, os.WriteFile(l.Path(removed), tiny(t, 3), 0o600))
	// A disk failed between the writes of file and row.
	unfinished := reserve(t, l, "unfinished")
	unfinished.State, unfinished.Failure = resources.Unknown, &resources.Failure{Kind: "storage"}
	require.NoError(t, l.Record(t.Context(), unfinished))
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, "unfinished-"+unfinished.ID+".png"), tiny(t, 6), 0o600))

	// The file of an image was deleted, and another file has its name.
	replaced := save(t, l, "replaced", tiny(t, 7))
	require.NoError(t, os.Remove(l.Path(replaced)))
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	for _, p := range report.Problems {
		if p.ID == replaced.ID {
			_, err := l.Repair(t.Context(), p)
			require.NoError(t, err)
		}
	}
	require.NoError(t, os.WriteFile(l.Path(replaced), tiny(t, 8), 0o600))

	list, err := l.Reindex(t.Context(), "local", nil)
	require.NoError(t, err)
	notes := map[string]string{}
	for _, a := range list {
		notes[a.ID] = a.Note
	}
	assert.Equal(t, "found again", notes[moved.ID])
	assert.Equal(t, "completed", notes[unfinished.ID])
	assert.Contains(t, notes[otherBytes.ID], "differs from what was saved")
	assert.Contains(t, notes[replaced.ID], "differs from what was saved")
	assert.Len(t, list, 4)
	for _, id := range []string{moved.ID, unfinished.ID, copied.ID} {
		i, err := l.Image(t.Context(), "local", id)
		require.NoError(t, err)
		_, err = l.Read(t.Context(), i)
		require.NoError(t, err)
	}
	_, err = l.Image(t.Context(), "local", removed.ID)
	require.ErrorIs(t, err, resources.ErrNotFound, "a removed image stays removed")
}

// Reindex reads what a label says of the image in a file.
func TestReindex_Labels(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	created := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	add := func(made label.Label) string {
		id, name := putFile(t, l, folder, "a-fox", nil)
		if made.ID == "" {
			made.ID = id
		}
		file, err := label.Add(tiny(t, 1), "image/png", made)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), file, 0o600))
		return id
	}
	source := add(label.Label{Model: "cogview-4", CreatedAt: created})
	recipe := add(label.Label{Model: "glm-image", CreatedAt: created, Recipe: true, Prompt: "A fox, 狐狸 & a hen", Size: "1024x1024", Quality: "hd"})
	sandbox := add(label.Label{Model: "glm-image", CreatedAt: created, Sandbox: true})
	other := add(label.Label{ID: "01m7wnsdj83vthhjy68qfe1hke", Model: "cogview-4", CreatedAt: created})
	forged := add(label.Label{Model: strings.Repeat("x", 200), CreatedAt: time.Now().AddDate(1, 0, 0), Recipe: true, Prompt: strings.Repeat("x", 70_000)})
	list, err := l.Reindex(t.Context(), "local", nil)
	require.NoError(t, err)
	require.Len(t, list, 5)
	for id, want := range map[string]resources.Image{
		source:  {Model: "cogview-4", CreatedAt: created, Prompt: "a fox", Size: "4x3", Quality: "standard"},
		recipe:  {Model: "glm-image", CreatedAt: created, Prompt: "A fox, 狐狸 & a hen", Size: "1024x1024", Quality: "hd"},
		sandbox: {Model: "glm-image", CreatedAt: created, Prompt: "a fox", Size: "4x3", Quality: "standard", Sandbox: true},
		other:   {Prompt: "a fox", Size: "4x3", Quality: "standard"}, // the label is of another image
		forged:  {Prompt: "a fox", Size: "4x3", Quality: "standard"},
	} {
		got, err := l.Image(t.Context(), "local", id)
		require.NoError(t, err)
		if want.CreatedAt.IsZero() {
			assert.WithinDuration(t, time.Now(), got.CreatedAt, time.Hour, "the time of the id")
			got.CreatedAt = time.Time{}
		}
		assert.Equal(t, want, resources.Image{
			Model: got.Model, CreatedAt: got.CreatedAt, Prompt: got.Prompt, Size: got.Size, Quality: got.Quality, Sandbox: got.Sandbox,
		})
		assert.Equal(t, []string{label.XMP}, got.Marks)
		assert.Zero(t, got.CostMicroUSD)
	}
}
