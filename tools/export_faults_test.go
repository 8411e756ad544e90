package tools_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/sqlite"
	"zai-image-mcp/tools"
)

// hookedCatalog calls record in place of RecordExport, which it may return.
type hookedCatalog struct {
	resources.Catalog
	record func(context.Context, resources.Exported) error
}

func (c hookedCatalog) RecordExport(ctx context.Context, e resources.Exported) error {
	if err := c.record(ctx, e); err != nil {
		return err
	}
	return c.Catalog.RecordExport(ctx, e)
}

// newHookedRig returns a rig with a project whose catalog calls record for each file.
func newHookedRig(t *testing.T, record func(dir string, e resources.Exported) error) (r *rig, dir string) {
	t.Helper()
	testrig.NeedLocal(t, "the test puts a hook into the catalog")
	dir = t.TempDir()
	r = newRig(t, func(c *tools.Config, j *jobs.Config) {
		library := localLibrary(t, func(o *resources.Options) {
			o.Catalog = hookedCatalog{o.Catalog, func(_ context.Context, e resources.Exported) error { return record(dir, e) }}
		})
		c.Library, j.Library, c.Project = library, library, project.New(dir)
	})
	return r, dir
}

// localLibrary returns a library whose parts change may replace.
func localLibrary(t *testing.T, change func(*resources.Options)) *resources.Library {
	t.Helper()
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	o := resources.Options{
		Store:    folder.New(folder.Options{Dir: dir, Now: time.Now}),
		Previews: folder.New(folder.Options{Dir: filepath.Join(dir, ".previews"), Now: time.Now}),
		Catalog:  sqlite.New(sqlite.Options{Path: filepath.Join(dir, ".catalog.db"), Now: time.Now, Log: quiet}),
		Now:      time.Now, Random: rand.Reader, Log: quiet,
	}
	change(&o)
	library := resources.New(o)
	t.Cleanup(func() { assert.NoError(t, library.Close()) })
	return library
}

// If only some files of a set can be written, the result says which.
func TestExport_PartOfSet(t *testing.T) {
	t.Parallel()
	r, dir := newHookedRig(t, func(dir string, e resources.Exported) error {
		if filepath.Base(e.Path) == "AppIcon-1024.png" { // the first file: a folder of the second one becomes a file
			return os.WriteFile(filepath.Join(dir, "app", "mipmap-mdpi"), []byte("x"), 0o600)
		}
		return nil
	})
	_, made := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"set":"app-icon","save_as":"app/"}`, made.Images[0].ID))
	require.False(t, result.IsError, text(t, result))
	require.Len(t, s.Images, 6)
	for _, i := range s.Images {
		assert.FileExists(t, filepath.Join(dir, filepath.FromSlash(i.SavedAs)))
	}
	assert.Contains(t, text(t, result), "6 of 7 files of the set app-icon, written into the project")
	assert.Contains(t, text(t, result), "2. app/mipmap-mdpi/ic_launcher.png was not written")
	assert.Contains(t, notesOf(s), "app/mipmap-mdpi/ic_launcher.png was not written: ")
	_, links := contents(result)
	assert.Len(t, links, 6)
}

// If no file can be written, the call fails.
func TestExport_NoFileWritten(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	drawing := r.saveDrawing(t, 100, white, "a square")
	require.NoError(t, os.Remove(r.dir))
	result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"logo.png"}`, drawing.ID))
	require.True(t, result.IsError)
	assert.Equal(t, resources.KindStorage, s.Error.Kind)
	assert.Contains(t, s.Error.Message, r.dir)
}

// A file that cannot be recorded is written all the same; only replace refuses it.
func TestSaveAs_NotRecorded(t *testing.T) {
	t.Parallel()
	r, dir := newHookedRig(t, func(string, resources.Exported) error { return resources.ErrStorage })
	result, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512","save_as":"hero.png"}`)
	require.False(t, result.IsError, text(t, result))
	assert.Equal(t, "hero.png", s.Images[0].SavedAs)
	_, s = r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"hero.png","replace":true}`, s.Images[0].ID))
	assert.Equal(t, "hero-2.png", s.Images[0].SavedAs)
	assert.Len(t, files(t, dir), 2)
}

// The damage of an original is a failure that says so.
func TestExport_DamagedOriginal(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "the test changes a file of the library")
	r := newProjectRig(t, nil)
	drawing := r.saveDrawing(t, 100, white, "a square")
	require.NoError(t, os.WriteFile(r.library.Path(drawing), []byte("something else"), 0o600))
	result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"logo.png","size":"10x10"}`, drawing.ID))
	require.True(t, result.IsError)
	assert.Equal(t, resources.KindStorage, s.Error.Kind)
	assert.Empty(t, files(t, r.dir))
	result, s = r.call(t, "get_image", fmt.Sprintf(`{"id":%q,"save_as":"logo.jpg"}`, drawing.ID))
	require.True(t, result.IsError, "the image has no link from which it could be fetched again")
	assert.Equal(t, resources.KindStorage, s.Error.Kind)
	assert.Empty(t, files(t, r.dir))
}
