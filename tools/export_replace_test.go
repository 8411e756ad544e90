package tools_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The catalog knows each file that was written into a project.
func TestExport_Recorded(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	drawing := r.saveDrawing(t, 200, white, "a square")
	for arguments, spec := range map[string]string{`"save_as":"a/x.png","size":"40x20"`: "png-40x20-cover", `"save_as":"y.webp"`: "webp"} {
		_, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,%s}`, drawing.ID, arguments))
		require.Len(t, s.Images, 1)
		b := r.read(t, s.Images[0].SavedAs)
		record, err := r.library.Catalog().ExportAt(t.Context(), filepath.Join(r.dir, filepath.FromSlash(s.Images[0].SavedAs)))
		require.NoError(t, err)
		assert.Equal(t, spec, record.Spec)
		assert.Equal(t, drawing.ID, record.ImageID)
		assert.Equal(t, hash(b), record.SHA256)
		assert.Equal(t, int64(len(b)), record.Bytes)
	}
	_, s := r.call(t, "get_image", fmt.Sprintf(`{"id":%q,"save_as":"z.jpg"}`, drawing.ID))
	record, err := r.library.Catalog().ExportAt(t.Context(), filepath.Join(r.dir, s.Images[0].SavedAs))
	require.NoError(t, err)
	assert.Equal(t, "jpg", record.Spec)
}

// replace overwrites only a file that this server wrote and nobody changed since.
func TestExport_Replace(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	drawing := r.saveDrawing(t, 200, white, "a square")
	export := func(size string, replace bool) (string, string) {
		result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"logo.png","size":%q,"replace":%v}`, drawing.ID, size, replace))
		require.False(t, result.IsError, text(t, result))
		return s.Images[0].SavedAs, notesOf(s)
	}
	r.write(t, "logo.png", "a file of the user")
	name, notes := export("10x10", true)
	assert.Equal(t, "logo-2.png", name)
	assert.Contains(t, notes, "Saved as logo-2.png, because logo.png was not replaced: this server did not write it.")
	assert.Equal(t, "a file of the user", string(r.read(t, "logo.png")))

	require.NoError(t, os.Remove(filepath.Join(r.dir, "logo.png")))
	name, _ = export("10x10", false)
	assert.Equal(t, "logo.png", name)
	name, notes = export("20x20", false)
	assert.Equal(t, "logo-3.png", name)
	assert.Contains(t, notes, "because logo.png exists already")
	name, notes = export("30x30", true)
	assert.Equal(t, "logo.png", name)
	assert.Contains(t, notes, "logo.png was replaced")
	assertImage(t, r.read(t, "logo.png"), "png", 30, 30)
	name, _ = export("40x40", true)
	assert.Equal(t, "logo.png", name, "the record of the replaced file is that of the new one")

	r.write(t, "logo.png", "changed by the user")
	name, notes = export("50x50", true)
	assert.Equal(t, "logo-4.png", name)
	assert.Contains(t, notes, "logo.png was not replaced: it was changed after this server wrote it")
	assert.Equal(t, "changed by the user", string(r.read(t, "logo.png")))
}
