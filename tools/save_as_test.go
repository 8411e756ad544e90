package tools_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
)

func TestSaveAs(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	for name, format := range map[string]string{"hero.png": "png", "assets/img/hero.jpg": "jpeg", "a b.JPEG": "jpeg", "./assets//hero.webp": "webp"} {
		result, s := r.call(t, "generate_image", fmt.Sprintf(`{"prompt":"A [red] fox. It sleeps.","size":"512x640","save_as":%q}`, name))
		require.False(t, result.IsError, text(t, result))
		want := strings.ReplaceAll(strings.TrimPrefix(name, "./"), "//", "/")
		assert.Equal(t, want, s.Images[0].SavedAs)
		b := r.read(t, want)
		assertImage(t, b, format, 512, 640)

		words := text(t, result)
		assert.Contains(t, words, "saved as "+want+" (512x640, ")
		assert.Contains(t, words, "It is the file "+filepath.Join(r.dir, filepath.FromSlash(want)))
		address := strings.ReplaceAll(want, " ", "%20")
		assert.Contains(t, s.Notes, `Markdown: ![A \[red\] fox](`+address+`)`)
		assert.Contains(t, s.Notes, `HTML: <img src="`+address+`" width="512" height="640" alt="A [red] fox">`)
		for _, note := range s.Notes {
			assert.Contains(t, words, note, "the text is complete")
		}
	}
	assert.Len(t, files(t, r.dir), 4)
}

// attacks returns values of save_as that are refused.
func attacks() map[string]string {
	return map[string]string{
		"absolute": "/tmp/x.png", "parent": "../outside/x.png", "hidden parent": "a/../../outside/x.png", "drive": `C:/x.png`, "share": `//host/x.png`,
		"backslash": `..\outside\x.png`, "repository": ".git/x.png", "repository in a folder": "a/.GIT/hooks/x.png", "device": "con.png", "device in a folder": "a/COM1.x.png",
		"link to a folder": "link/x.png", "link in a folder": "a/link/x.png", "long name": strings.Repeat("x", 300) + ".png", "long path": strings.Repeat(strings.Repeat("x", 100)+"/", 50) + "x.png",
		"NUL": "x\x00.png", "line break": "x\n.png", "no extension": "x", "wrong extension": "x.svg", "program": "x.png.exe", "folder": "assets/", "dot": ".", "only an extension": ".png",
		"stream": "x.png:y.png", "in a file": "file.txt/x.png",
	}
}

// What could lead out of the project is refused before anything is paid, and nothing is
// written.
func TestSaveAs_Attacks(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	outside := filepath.Join(r.parent, "outside")
	r.write(t, "file.txt", "a file of the user")
	for _, link := range []string{"link", "a/link"} {
		path := filepath.Join(r.dir, link)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if err := os.Symlink(outside, path); err != nil {
			t.Skipf("no links: %v", err)
		}
	}
	_, made := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	before, posts := files(t, r.parent), r.sandbox.Posts()
	for name, saveAs := range attacks() {
		t.Run(name, func(t *testing.T) {
			for tool, arguments := range map[string]string{
				"generate_image": `{"prompt":"x","size":"512x512","save_as":%q}`, "get_image": `{"id":"` + made.Images[0].ID + `","save_as":%q}`,
				"export_image": `{"id":"` + made.Images[0].ID + `","save_as":%q}`,
			} {
				result, s := r.call(t, tool, fmt.Sprintf(strings.ReplaceAll(arguments, "%q", "%s"), quoteJSON(t, saveAs)))
				require.True(t, result.IsError, "%s: %s", tool, text(t, result))
				assert.EqualValues(t, "invalid_argument", s.Error.Kind, tool)
				assert.NotEmpty(t, s.Error.Hint)
			}
		})
	}
	assert.Equal(t, posts, r.sandbox.Posts(), "nothing was paid")
	assert.Equal(t, before, files(t, r.parent), "nothing was written")
}

// A link that is put in place of a folder while the image is made leads nowhere.
func TestSaveAs_LinkDuringCall(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED here: links need a privilege")
	}
	r := newProjectRig(t, func(r *projectRig) {
		assert.NoError(t, os.RemoveAll(filepath.Join(r.dir, "assets")))
		assert.NoError(t, os.Symlink(filepath.Join(r.parent, "outside"), filepath.Join(r.dir, "assets")))
	})
	r.write(t, "assets/other.txt", "x")
	result, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512","save_as":"assets/hero.png"}`)
	require.False(t, result.IsError, "the image is paid and saved")
	assert.Equal(t, resources.StatusSaved, s.Images[0].Status)
	assert.Empty(t, s.Images[0].SavedAs)
	assert.Contains(t, notesOf(s), "is in the library, but was not saved as assets/hero.png: ")
	assert.Contains(t, notesOf(s), "call get_image with this id and save_as")
	assert.Contains(t, text(t, result), s.Notes[0])
	assert.Empty(t, files(t, filepath.Join(r.parent, "outside")))
}

// A project that is lost while the image is made costs the file, not the image.
func TestSaveAs_ProjectLostDuringCall(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, func(r *projectRig) { assert.NoError(t, os.RemoveAll(r.dir)) })
	result, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512","n":2,"save_as":"hero.png"}`)
	require.False(t, result.IsError, text(t, result))
	require.Len(t, s.Notes, 2)
	for n, note := range s.Notes {
		assert.Equal(t, resources.StatusSaved, s.Images[n].Status)
		assert.Contains(t, note, fmt.Sprintf("Image %s is in the library, but was not saved as hero-%d.png: The file cannot be written into the project %s: ", s.Images[n].ID, n+1, r.dir))
		assert.Contains(t, note, "Ask the user to create the folder")
		assert.NotContains(t, note, "kind:")
	}
	assert.Contains(t, text(t, result), "2 of 2 images saved")
	require.NoError(t, os.Mkdir(r.dir, 0o755))
	_, again := r.call(t, "get_image", fmt.Sprintf(`{"id":%q,"save_as":"hero-1.png"}`, s.Images[0].ID))
	assert.Equal(t, "hero-1.png", again.Images[0].SavedAs)
}

// A project that cannot be used is found before anything is paid.
func TestSaveAs_UnusableProject(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	require.NoError(t, os.Remove(r.dir))
	result, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512","save_as":"hero.png"}`)
	require.True(t, result.IsError)
	assert.Equal(t, resources.KindStorage, s.Error.Kind)
	assert.Contains(t, s.Error.Message, r.dir)
	assert.Contains(t, s.Error.Hint, "--project")
	if runtime.GOOS != "windows" && os.Getuid() != 0 { // neither knows such a folder
		require.NoError(t, os.Mkdir(r.dir, 0o500))
		result, s = r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512","save_as":"hero.png"}`)
		require.True(t, result.IsError)
		assert.Equal(t, resources.KindStorage, s.Error.Kind)
		assert.Contains(t, s.Error.Message, "permission denied")
	}
	assert.Zero(t, r.sandbox.Posts())
}

func TestSaveAs_NoProject(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	_, made := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	posts := r.sandbox.Posts()
	for tool, arguments := range map[string]string{
		"generate_image": `{"prompt":"x","save_as":"hero.png"}`, "get_image": `{"id":"` + made.Images[0].ID + `","save_as":"hero.png"}`,
		"export_image": `{"id":"` + made.Images[0].ID + `","save_as":"hero.png","size":"64x64"}`,
	} {
		result, s := r.call(t, tool, arguments)
		require.True(t, result.IsError, tool)
		assert.EqualValues(t, "invalid_argument", s.Error.Kind)
		assert.Contains(t, text(t, result), "there is no project: the server cannot write into the user's project; use the download link.")
	}
	assert.Equal(t, posts, r.sandbox.Posts())
	result, _ := r.call(t, "generate_image", `{"prompt":"x","size":"512x512","save_as":" "}`)
	assert.False(t, result.IsError, "an empty argument counts as left out")
	other := newRig(t, func(c *tools.Config, _ *jobs.Config) { c.NoProject = "the host started the server in /; set --project" })
	result, _ = other.call(t, "generate_image", `{"prompt":"x","save_as":"hero.png"}`)
	assert.Contains(t, text(t, result), "there is no project: the host started the server in /; set --project. ")
}

// Each image of a call has a number in its file's name. Files of others stay.
func TestSaveAs_Names(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	r.write(t, "assets/hero-2.png", "a file of the user")
	result, s := r.call(t, "generate_image", `{"prompt":"a fox sandbox:content_blocked@3","n":4,"size":"512x512","save_as":"assets/hero.png"}`)
	require.False(t, result.IsError)
	want := []string{"assets/hero-2.png"} // of the user
	for n, i := range s.Images {
		switch {
		case i.Status != resources.StatusSaved: // any of them: requests reach the API in any order
			assert.Empty(t, i.SavedAs)
			continue
		case n == 1:
			assert.Equal(t, "assets/hero-2-2.png", i.SavedAs)
			assert.Contains(t, notesOf(s), "because assets/hero-2.png exists already")
		default:
			assert.Equal(t, fmt.Sprintf("assets/hero-%d.png", n+1), i.SavedAs)
		}
		want = append(want, i.SavedAs)
	}
	assert.Len(t, want, 4, "three files, and none for the image that failed")
	assert.ElementsMatch(t, want, files(t, r.dir))
	assert.Equal(t, "a file of the user", string(r.read(t, "assets/hero-2.png")))
}

// An image that is still being made when a call returns is saved by get_image.
func TestSaveAs_WorkingImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inBubble(t, func(c *tools.Config, _ *jobs.Config) { c.Wait, c.Project = 300*time.Millisecond, project.New(dir) }, func(t *testing.T, r *rig) {
		result, s := r.call(t, "generate_image", `{"prompt":"sandbox:delay=1s","n":2,"size":"512x512","save_as":"assets/hero.webp"}`)
		require.False(t, result.IsError)
		for n, i := range s.Images {
			require.Equal(t, resources.StatusWorking, i.Status)
			assert.Empty(t, i.SavedAs)
			call := fmt.Sprintf(`call get_image with this id and save_as "assets/hero-%d.webp" in a while.`, n+1)
			assert.Equal(t, "Image "+i.ID+" is still being made; "+call, s.Notes[n])
			assert.Contains(t, text(t, result), call)
		}
		time.Sleep(2 * time.Second)
		result, s = r.call(t, "get_image", fmt.Sprintf(`{"id":%q,"save_as":"assets/hero-1.webp"}`, s.Images[0].ID))
		require.False(t, result.IsError, text(t, result))
		assert.Equal(t, "assets/hero-1.webp", s.Images[0].SavedAs)
		assert.Equal(t, []string{"assets/hero-1.webp"}, files(t, dir))
	})
}

// Equal calls with other names share their image, and each gets its file.
func TestSaveAs_JoinedCalls(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	undelivered := as(t.Context(), tools.Caller{Owner: "local"})
	_, first := r.callWith(t, undelivered, "generate_image", `{"prompt":"a fox","size":"512x512","save_as":"one.png"}`)
	result, second := r.callWith(t, undelivered, "generate_image", `{"prompt":"a fox","size":"512x512","save_as":"two.webp"}`)
	_, third := r.callWith(t, undelivered, "generate_image", `{"prompt":"a fox","size":"512x512","save_as":"one.png"}`)
	assert.Equal(t, first.Images[0].ID, second.Images[0].ID)
	assert.Contains(t, text(t, result), "nothing was charged a second time")
	assert.Equal(t, "two.webp", second.Images[0].SavedAs)
	assert.Equal(t, "one-2.png", third.Images[0].SavedAs)
	assert.EqualValues(t, 1, r.sandbox.Posts())
}

// A call that joins one whose wait has ended gets the image, and a file of its own.
func TestSaveAs_JoinedAfterWait(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inBubble(t, func(c *tools.Config, _ *jobs.Config) { c.Wait, c.Project = 300*time.Millisecond, project.New(dir) }, func(t *testing.T, r *rig) {
		const first, second = `{"prompt":"sandbox:delay=1s","n":2,"size":"512x512","save_as":"one.png"}`, `{"prompt":"sandbox:delay=1s","n":2,"size":"512x512","save_as":"two.png"}`
		_, handedOver := r.call(t, "generate_image", first)
		result, s := r.call(t, "generate_image", second)
		assert.Contains(t, text(t, result), `save_as "two-1.png"`, "still working, and the name is that of this call")
		assert.Contains(t, notesOf(s), "nothing was charged a second time")
		time.Sleep(2 * time.Second)
		result, s = r.call(t, "generate_image", second)
		require.False(t, result.IsError, text(t, result))
		for n, i := range s.Images {
			assert.Equal(t, handedOver.Images[n].ID, i.ID)
			assert.Equal(t, fmt.Sprintf("two-%d.png", n+1), i.SavedAs)
		}
		assert.Equal(t, []string{"two-1.png", "two-2.png"}, files(t, dir))
		assert.EqualValues(t, 2, r.sandbox.Posts())
	})
}

// Calls at the same time with the same name get different files.
func TestSaveAs_Concurrent(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	drawing := r.saveDrawing(t, 64, white, "a square")
	const calls = 16
	names := make([]string, calls)
	var all sync.WaitGroup
	for n := range calls {
		all.Go(func() {
			_, s := r.call(t, "get_image", fmt.Sprintf(`{"id":%q,"save_as":"hero.png"}`, drawing.ID))
			if assert.Len(t, s.Images, 1) {
				names[n] = s.Images[0].SavedAs
			}
		})
	}
	all.Wait()
	assert.ElementsMatch(t, files(t, r.dir), names)
	assert.Len(t, files(t, r.dir), calls)
	for _, name := range names {
		assertImage(t, r.read(t, name), "png", 64, 64)
	}
}

// Callers outside of the container of the server get no path that exists only in it.
func TestSaveAs_PathInContainer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRig(t, func(c *tools.Config, _ *jobs.Config) {
		c.Project, c.Locator = project.New(dir), resources.Locator{Path: true, Folder: "/home/me/images"}
	})
	result, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512","save_as":"hero.png"}`)
	assert.Equal(t, "hero.png", s.Images[0].SavedAs)
	assert.NotContains(t, text(t, result), dir, "callers do not see this path")
	result, s = r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"hero.webp"}`, s.Images[0].ID))
	assert.Equal(t, "hero.webp", s.Images[0].SavedAs)
	assert.Empty(t, s.Images[0].Path)
	assert.NotContains(t, text(t, result), dir)
}
