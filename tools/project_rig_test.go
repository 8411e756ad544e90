package tools_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg"
	"image/png"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "golang.org/x/image/webp"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
)

// projectRig is a rig whose tools write into a project.
type projectRig struct {
	*rig
	dir    string // of the project
	parent string // has the project and a folder "outside"
}

// newProjectRig returns a rig with a project. before is called before each request to
// generate an image; it may be nil.
func newProjectRig(t *testing.T, before func(*projectRig)) *projectRig {
	t.Helper()
	r := &projectRig{rig: &rig{}, parent: t.TempDir()}
	r.dir = filepath.Join(r.parent, "project")
	require.NoError(t, os.Mkdir(r.dir, 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(r.parent, "outside"), 0o755))
	api := testrig.API(t, func(o *testrig.APIOptions) {
		o.Wrap = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				if before != nil && request.Method == http.MethodPost {
					before(r)
				}
				next.ServeHTTP(w, request)
			})
		}
	})
	r.sandbox = api.Sandbox
	r.connect(t, api.Client, func(c *tools.Config, _ *jobs.Config) { c.Project = project.New(r.dir) })
	return r
}

// files returns the paths of all files and links below a folder, with slashes.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, filepath.ToSlash(name))
		return err
	}))
	return names
}

func (r *projectRig) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
	require.NoError(t, err)
	return b
}

func (r *projectRig) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

// assertImage asserts that bytes are an image of a format, as package image calls it, and
// of a size.
func assertImage(t *testing.T, b []byte, format string, width, height int) image.Image {
	t.Helper()
	img, got, err := image.Decode(bytes.NewReader(b))
	require.NoError(t, err)
	assert.Equal(t, format, got)
	assert.Equal(t, image.Pt(width, height), img.Bounds().Size())
	return img
}

// saveDrawing saves a PNG with a dark square on a plain background into the library, as
// if it had been generated.
func (r *rig) saveDrawing(t *testing.T, side int, background color.Color, prompt string) resources.Image {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(img, img.Rect, image.NewUniform(background), image.Point{}, draw.Src)
	draw.Draw(img, img.Rect.Inset(side/4), image.NewUniform(color.RGBA{40, 60, 120, 255}), image.Point{}, draw.Src)
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return r.savePNG(t, b.Bytes(), side, prompt)
}

// savePNG saves a square PNG into the library, as if it had been generated.
func (r *rig) savePNG(t *testing.T, file []byte, side int, prompt string) resources.Image {
	t.Helper()
	id, err := r.library.NewID()
	require.NoError(t, err)
	reserved, err := r.library.Catalog().Reserve(t.Context(), resources.Reservation{
		Images: []resources.Image{{ID: id, Owner: "local", State: resources.Submitted, Model: "glm-image", Prompt: prompt, Size: "9x9", Sandbox: true}}, Count: 1,
		Lease: resources.Lease{Process: "another", For: time.Minute},
	})
	require.NoError(t, err)
	saved, err := r.library.Save(t.Context(), reserved.New[0], resources.Content{
		Reader: bytes.NewReader(file), MIMEType: "image/png", Extension: ".png", Width: side, Height: side,
	}, "another")
	require.NoError(t, err)
	return saved
}

// notesOf returns the notes of a result on one line.
func notesOf(s testrig.Structured) string { return strings.Join(s.Notes, " ") }
