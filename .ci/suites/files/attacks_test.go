package files

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// names are values of save_as that every tool must refuse. OUTSIDE stands for the absolute
// path of a folder beside the project.
func names(outside string) []string {
	long := strings.Repeat("a", 300)
	return []string{
		"/x.png", outside + "/x.png", "//x.png", "/", "C:/x.png", `C:\x.png`, "C:x.png", `\\server\share\x.png`, `\x.png`, "file:///tmp/x.png",
		"../x.png", "../outside/x.png", "assets/../../outside/x.png", "assets/../x.png", "./../x.png", "a/b/c/../../../../outside/x.png", `..\x.png`, `assets\x.png`, "..", "../", "assets/..", ".. /x.png",
		".git/x.png", ".git/hooks/x.png", ".GIT/x.png", "sub/.git/x.png", "./.git/x.png", ".git./x.png", ".git /x.png", "git~1/x.png", ".git::$INDEX_ALLOCATION/x.png",
		"CON.png", "nul.webp", "sub/aux.jpg", "COM1.png", "lpt9.png", "con/x.png", "PRN.tar.png", "com¹.png",
		long + ".png", long + "/x.png", strings.Repeat("a/", 3000) + "x.png",
		"x.txt", "x.sh", "x", "x.png.exe", "x.svg", "x.gif", "x.html", ".png", "assets/.png", "x.png.", "x.png/", "x.png /y",
		"x\x00.png", "x.png\x00", "assets\x00/x.png", "x\n.png", "x\x1b[31m.png", "x\u202egnp.png",
		"x.png:stream", "x:y.png", "a?.png", "a*.png", `a".png`, "a|b.png", "<a>.png", "a./x.png", "a /x.png",
		"out/x.png", "out/new/x.png", "relative/x.png", "deep/out/x.png", "gitlink/x.png", "gitlink/hooks/x.png", "loop/x.png", "file/x.png",
	}
}

// playground fills a project with links that lead out of it, and returns a folder beside
// the project in which nothing may change.
func playground(t *testing.T, project string) (outside string) {
	t.Helper()
	outside = filepath.Join(filepath.Dir(project), "outside")
	for _, dir := range []string{filepath.Join(outside, "sub"), filepath.Join(project, ".git", "hooks"), filepath.Join(project, "deep"), filepath.Join(project, "assets")} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(outside, "taken.png"), []byte("a file of somebody else"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(project, ".git", "config"), []byte("[core]"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(project, "file"), []byte("a file"), 0o644))
	for link, target := range map[string]string{
		"out": outside, "relative": "../outside", "deep/out": "../../outside", "gitlink": ".git", "loop": "loop",
		"dangling.png": filepath.Join(outside, "dangling.png"), "taken.png": filepath.Join(outside, "taken.png"),
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(project, link)))
	}
	return outside
}

// Every tool refuses every name, writes nothing, and no image is paid for.
func TestAttack_Names(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	h := connect(t, s)
	outside := playground(t, h.project)
	original := h.generate(t, "a red kite", "512x512")
	parent := filepath.Dir(h.project)
	snapshot := func() map[string]string {
		found := tree(t, parent)
		maps.DeleteFunc(found, func(path, _ string) bool { return strings.HasPrefix(path, h.store) })
		return found
	}
	before, posts := snapshot(), s.Posts()
	tried := 0
	refuse := func(tool string, a arguments) {
		t.Helper()
		tried++
		r, err := h.try(t, tool, a)
		require.NoError(t, err, "%s %v", tool, a)
		if !r.isError || r.Error.Kind != "invalid_argument" {
			assert.Fail(t, "not refused", "%s with %.200q: %.200s", tool, a, r.text)
		}
	}
	for _, name := range names(outside) {
		refuse("generate_image", arguments{"prompt": "x", "size": "512x512", "save_as": name})
		refuse("get_image", arguments{"id": original.ID, "save_as": name})
		refuse("export_image", arguments{"id": original.ID, "save_as": name})
	}
	for _, name := range []string{"x.ico"} { // only export_image makes it
		refuse("generate_image", arguments{"prompt": "x", "size": "512x512", "save_as": name})
		refuse("get_image", arguments{"id": original.ID, "save_as": name})
	}
	for _, name := range []string{"/public", "../public", "assets/../..", outside, ".git", ".git/", "sub/.git", "out", "out/", "gitlink", "public\x00", `a\b`, "aux", "file"} {
		for _, set := range []string{"favicon", "app-icon", "social"} {
			refuse("export_image", arguments{"id": original.ID, "set": set, "save_as": name})
		}
	}
	assert.Equal(t, before, snapshot(), "nothing was written")
	assert.Equal(t, posts, s.Posts(), "nothing was requested")
	t.Logf("%d calls refused, %d requests", tried, s.Posts()-posts)
}

// Names that are links to files are taken: a file is written beside them or not at all.
func TestAttack_LinksAsFiles(t *testing.T) {
	t.Parallel()
	h := connect(t, newService(t, nil))
	outside := playground(t, h.project)
	original := h.generate(t, "a red kite", "512x512")
	before := tree(t, outside)
	for _, name := range []string{"dangling.png", "taken.png"} {
		for _, replace := range []bool{false, true} {
			r, err := h.try(t, "export_image", arguments{"id": original.ID, "save_as": name, "replace": replace})
			require.NoError(t, err)
			for _, e := range r.Images {
				assert.NotEqual(t, name, e.SavedAs)
			}
			link, err := os.Readlink(filepath.Join(h.project, name))
			require.NoError(t, err, "the link is still a link")
			assert.Contains(t, link, "outside")
		}
	}
	assert.Equal(t, before, tree(t, outside))
}

// swapper exchanges two paths until the test calls stop, which returns how often.
func swapper(t *testing.T, a, b string) (stop func() int64) {
	t.Helper()
	var done atomic.Bool
	var swaps atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !done.Load() {
			if unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) == nil {
				swaps.Add(1)
			}
			runtime.Gosched()
		}
	}()
	return func() int64 {
		done.Store(true)
		<-ended
		return swaps.Load()
	}
}

// While a folder of the project is exchanged with a link that leads out of it, files are
// written into the project or not at all.
func TestAttack_LinksSwappedDuringCalls(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{"out of the project": "outside", "to .git": "project/.git"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := connect(t, newService(t, nil))
			playground(t, h.project)
			original := h.generate(t, "a red kite", "512x512")
			forbidden := filepath.Join(filepath.Dir(h.project), filepath.FromSlash(target))
			assets, link := filepath.Join(h.project, "assets"), filepath.Join(h.project, "swapped")
			require.NoError(t, os.Symlink(forbidden, link))
			before := tree(t, forbidden)

			stop := swapper(t, assets, link)
			written, refused := 0, 0
			for range 250 {
				r, err := h.try(t, "export_image", arguments{"id": original.ID, "save_as": "assets/sub/kite.png", "size": "16x16"})
				require.NoError(t, err)
				if r.isError || len(r.Images) == 0 || r.Images[0].SavedAs == "" {
					refused++
				} else {
					written++
				}
			}
			// Control: a writer that checks first and writes then follows the link.
			followed := 0
			for n := 0; n < 1_000_000 && followed == 0; n++ {
				info, err := os.Lstat(assets)
				if err != nil || !info.IsDir() {
					continue
				}
				runtime.Gosched()
				path := filepath.Join(assets, "control.png")
				_ = os.WriteFile(path, nil, 0o644)
				if os.Remove(filepath.Join(forbidden, "control.png")) == nil {
					followed++
				}
			}
			swaps := stop()
			assert.Equal(t, before, tree(t, forbidden))
			assert.Positive(t, written)
			assert.Positive(t, refused)
			assert.Positive(t, followed, "control")
			t.Logf("%d swaps: %d files written, %d refused; a writer without protection followed the link", swaps, written, refused)
		})
	}
}
