package project_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/project"
)

var imageExtensions = []string{".png", ".jpg", ".jpeg", ".webp"}

func TestClean(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"hero.png": "hero.png", "./assets//hero.webp": "assets/hero.webp", "a/./b/x.JPG": "a/b/x.JPG", "мой кот.jpeg": "мой кот.jpeg",
		".github/logo.png": ".github/logo.png", "a b/c d.png": "a b/c d.png", "gitx/x.png": "gitx/x.png", "console/com10.png": "console/com10.png",
		strings.Repeat("é", 98) + ".png": strings.Repeat("é", 98) + ".png", "~x.png": "~x.png", "x.git/y.png": "x.git/y.png",
	} {
		got, err := project.Clean(given, imageExtensions...)
		require.NoError(t, err, given)
		assert.Equal(t, want, got)
	}
}

// attacks are names that must be refused, with a part of the reason.
func attacks() map[string]string {
	return map[string]string{
		"": "empty", "/etc/x.png": "absolute", "//server/x.png": "absolute", "../x.png": "..", "a/../../x.png": "..", "a/../x.png": "..",
		"C:/x.png": "characters", "C:x.png": "characters", `a\x.png`: "backslash", `\\server\x.png`: "backslash", `..\x.png`: "backslash",
		"~/x.png": "home", "x\x00.png": "control", "x\n.png": "control", "\x7f.png": "control", "x\u202egnp.png": "reverse", "\u2067x.png": "reverse", "x\xff.png": "UTF-8",
		".git/x.png": ".git", "a/.GIT/x.png": ".git", ".git./x.png": ".git", ".git /x.png": ".git", ".g\u200cit/x.png": ".git", "git~1/x.png": ".git", ".Git/hooks/x.png": ".git",
		"con.png": "reserved", "a/NUL/x.png": "reserved", "com1.tar.png": "reserved", "Com¹.png": "reserved", "lpt9.png": "reserved", "conin$.png": "reserved", "aux .png": "reserved",
		"a?.png": "characters", "a*.png": "characters", "a<b>.png": "characters", "a|b.png": "characters", `a".png`: "characters", "x.png:stream.png": "characters",
		"a./x.png": "dot", "a /x.png": "space", " a/x.png": "space", "x.png.": "dot", "x.png ": "space",
		strings.Repeat("x", 201) + ".png": "200 bytes", strings.Repeat("abcdefghi/", 101) + "x.png": "1000 bytes",
		"x": "does not end", "x.gif": "does not end", "x.svg": "does not end", ".png": "does not end", "a/.webp": "does not end", "x.png.exe": "does not end", "folder/": "folder", ".": "does not end",
	}
}

func TestClean_Attacks(t *testing.T) {
	t.Parallel()
	for name, reason := range attacks() {
		_, err := project.Clean(name, imageExtensions...)
		var refused *project.NameError
		require.ErrorAs(t, err, &refused, "%q", name)
		assert.Contains(t, refused.Problem, reason, "%q", name)
		assert.Contains(t, refused.Hint, "assets/hero.png")
		assert.Less(t, len(refused.Problem), 500)
	}
}

func FuzzClean(f *testing.F) {
	for name := range attacks() {
		f.Add(name)
	}
	f.Add("assets/hero.png")
	f.Fuzz(func(t *testing.T, name string) {
		cleaned, err := project.Clean(name, imageExtensions...)
		if err != nil {
			return
		}
		require.True(t, filepath.IsLocal(filepath.FromSlash(cleaned)))
		require.True(t, fs.ValidPath(cleaned))
		again, err := project.Clean(cleaned, imageExtensions...)
		require.NoError(t, err)
		require.Equal(t, cleaned, again)
	})
}

// rig is a project with a folder beside it that must stay as it is.
type rig struct {
	*project.Folder
	dir, outside string
}

func newRig(t *testing.T) rig {
	t.Helper()
	base := t.TempDir()
	r := rig{dir: filepath.Join(base, "project"), outside: filepath.Join(base, "outside")}
	for _, dir := range []string{r.dir, r.outside, filepath.Join(r.dir, ".git")} {
		require.NoError(t, os.Mkdir(dir, 0o755))
	}
	r.Folder = project.New(r.dir)
	t.Cleanup(func() {
		entries, err := os.ReadDir(r.outside)
		assert.NoError(t, err)
		assert.Empty(t, entries, "something was made outside of the project")
		assert.Empty(t, files(t, filepath.Join(r.dir, ".git")))
		for _, name := range files(t, r.dir) {
			assert.NotContains(t, name, ".tmp", "a temporary file stays")
		}
	})
	return r
}

// files returns the files in a folder, without following links.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Type() != fs.ModeSymlink {
			names = append(names, filepath.ToSlash(strings.TrimPrefix(name, dir+string(filepath.Separator))))
		}
		return err
	}))
	return names
}

func (r rig) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

func (r rig) put(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(r.path(name)), 0o755))
	require.NoError(t, os.WriteFile(r.path(name), []byte(content), 0o600))
}

func (r rig) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(r.path(name))
	require.NoError(t, err)
	return string(b)
}

func (r rig) link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, r.path(name)); err != nil {
		t.Skip("NOT TESTED: links cannot be made here: " + err.Error())
	}
}

func TestFolder_Write(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, r.Check("assets/img/hero.png"))
	require.NoDirExists(t, r.path("assets"), "Check creates nothing")
	got, err := r.Write("assets/img/hero.png", []byte("one"), nil)
	require.NoError(t, err)
	assert.Equal(t, project.Written{Name: "assets/img/hero.png", Path: r.path("assets/img/hero.png")}, got)
	info, err := os.Stat(got.Path)
	require.NoError(t, err)
	assert.Zero(t, info.Mode().Perm()&^0o644)
	for _, want := range []string{"assets/img/hero-2.png", "assets/img/hero-3.png"} {
		got, err = r.Write("assets/img/hero.png", []byte("one"), nil)
		require.NoError(t, err)
		assert.Equal(t, want, got.Name)
	}
	assert.Equal(t, "one", r.read(t, "assets/img/hero.png"))
}

func TestFolder_WriteKeepsForeignFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put(t, "hero.png", "foreign")
	require.NoError(t, os.Mkdir(r.path("dir.png"), 0o755))
	r.link(t, "hero.png", "link.png")
	r.link(t, "nowhere", "dangling.png")
	for _, name := range []string{"hero.png", "dir.png", "link.png", "dangling.png"} {
		never := func(string, string) (bool, error) { return false, nil }
		got, err := r.Write(name, []byte("new"), never)
		require.NoError(t, err)
		assert.Equal(t, strings.TrimSuffix(name, ".png")+"-2.png", got.Name)
		assert.False(t, got.Replaced)
	}
	assert.Equal(t, "foreign", r.read(t, "hero.png"))
	assert.NoFileExists(t, r.path("nowhere"))
}

func TestFolder_WriteConcurrently(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const writers = 16
	var group sync.WaitGroup
	names := make([]string, writers)
	for n := range writers {
		group.Go(func() {
			got, err := r.Write("a/hero.png", fmt.Append(nil, n), nil)
			assert.NoError(t, err)
			names[n] = got.Name
		})
	}
	group.Wait()
	for n, name := range names {
		assert.Equal(t, fmt.Sprint(n), r.read(t, name))
	}
	assert.Len(t, files(t, r.path("a")), writers)
}

func sha(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func TestFolder_Replace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put(t, "hero.png", "old")
	r.link(t, "hero.png", "link.png")
	always := func(path, got string) (bool, error) {
		assert.Equal(t, r.path("hero.png"), path)
		assert.Equal(t, sha("old"), got)
		return true, nil
	}
	got, err := r.Write("hero.png", []byte("new"), always)
	require.NoError(t, err)
	assert.Equal(t, project.Written{Name: "hero.png", Path: r.path("hero.png"), Replaced: true}, got)
	assert.Equal(t, "new", r.read(t, "hero.png"))

	broken := errors.New("no catalog")
	_, err = r.Write("hero.png", []byte("newer"), func(string, string) (bool, error) { return false, broken })
	require.ErrorIs(t, err, broken)
	changing := func(string, string) (bool, error) { r.put(t, "hero.png", "changed"); return true, nil }
	got, err = r.Write("hero.png", []byte("newer"), changing)
	require.NoError(t, err)
	assert.Equal(t, "hero-2.png", got.Name, "the file changed before it was replaced")
	assert.Equal(t, "changed", r.read(t, "hero.png"))

	notAsked := func(string, string) (bool, error) { t.Error("asked for something that is no file"); return true, nil }
	got, err = r.Write("link.png", []byte("new"), notAsked)
	require.NoError(t, err)
	assert.Equal(t, "link-2.png", got.Name)
	got, err = r.Write("missing.png", []byte("new"), notAsked)
	require.NoError(t, err)
	assert.Equal(t, "missing.png", got.Name)
}

func TestFolder_Links(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, os.MkdirAll(r.path("real/.git/x"), 0o755))
	for name, target := range map[string]string{
		"absolute": r.outside, "relative": "../outside", "deep": "real/../../outside", "twice": "relative", "loop": "loop",
		"git": ".git", "gitdeep": "real/.git/x", "githop": "git/hooks", "out.png": "../outside/secret.png",
	} {
		r.link(t, target, name)
	}
	r.put(t, "file", "x")
	for _, name := range []string{
		"absolute/x.png", "relative/x.png", "relative/new/x.png", "deep/x.png", "twice/x.png", "loop/x.png", "git/x.png", "gitdeep/x.png", "githop/x.png", "file/x.png", "file/a/x.png",
	} {
		var refused *project.NameError
		require.ErrorAs(t, r.Check(name), &refused, name)
		_, err := r.Write(name, []byte("x"), nil)
		require.ErrorAs(t, err, &refused, name)
	}
	r.link(t, "real", "inside")
	require.NoError(t, os.MkdirAll(r.path("a/b"), 0o755))
	r.link(t, "../../real", "a/b/up")
	for _, name := range []string{"inside/x.png", "inside/new/y.png", "a/b/up/z.png"} {
		require.NoError(t, r.Check(name))
		got, err := r.Write(name, []byte("x"), nil)
		require.NoError(t, err)
		assert.Equal(t, name, got.Name)
	}
	assert.FileExists(t, r.path("real/z.png"))
}

// A link to a file outside is not followed: the name is taken, and Check refuses it.
func TestFolder_LinkToFileOutside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.link(t, r.outside, "out.png")
	var refused *project.NameError
	require.ErrorAs(t, r.Check("out.png"), &refused)
	got, err := r.Write("out.png", []byte("x"), func(string, string) (bool, error) { return true, nil })
	require.NoError(t, err)
	assert.Equal(t, "out-2.png", got.Name)
}

// While files are written, a link is swapped between a folder of the project, one outside
// and .git.
func TestFolder_SwappedLinks(t *testing.T) {
	t.Parallel()
	rounds := 300
	if os.Getenv("ZAI_TEST_LOAD") != "" {
		rounds = 100_000
	}
	r := newRig(t)
	require.NoError(t, os.Mkdir(r.path("real"), 0o755))
	r.link(t, "real", "a")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Symlink([]string{"real", "../outside", "real", ".git"}[n%4], r.path("swap"))
			_ = os.Rename(r.path("swap"), r.path("a"))
		}
	}()
	wrote, refused := 0, 0
	for n := 0; n < rounds || wrote == 0; n++ {
		name := fmt.Sprintf("a/b%d/x.png", n%50)
		got, err := r.Write(name, []byte("x"), nil)
		if err != nil {
			refused++
			continue
		}
		wrote++
		_ = os.Remove(r.path(strings.Replace(got.Name, "a/", "real/", 1))) // keeps the folders small
	}
	close(stop)
	<-stopped
	t.Logf("%d files written, %d refused, 0 outside", wrote, refused)
	assert.Positive(t, refused)
}

func TestFolder_Unusable(t *testing.T) {
	t.Parallel()
	gone := project.New(filepath.Join(t.TempDir(), "gone"))
	require.ErrorIs(t, gone.Check("x.png"), fs.ErrNotExist)
	_, err := gone.Write("x.png", nil, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)

	if os.Geteuid() == 0 {
		t.Skip("NOT TESTED: root may write into every folder")
	}
	r := newRig(t)
	require.NoError(t, os.Mkdir(r.path("readonly"), 0o555))
	for _, name := range []string{"readonly/x.png", "readonly/new/x.png"} {
		require.ErrorIs(t, r.Check(name), fs.ErrPermission)
		_, err = r.Write(name, nil, nil)
		require.ErrorIs(t, err, fs.ErrPermission)
	}
}

// swapFolder makes a folder "a" and swaps it for a link to .git, again and again.
func (r rig) swapFolder(t *testing.T) (stop func()) {
	t.Helper()
	require.NoError(t, os.Mkdir(r.path("a"), 0o755))
	r.link(t, ".git", "link")
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-ended:
				return
			default:
			}
			_ = os.Rename(r.path("a"), r.path("kept"))
			_ = os.Rename(r.path("link"), r.path("a"))
			r.pause(n % 20)
			_ = os.Rename(r.path("a"), r.path("link"))
			_ = os.Rename(r.path("kept"), r.path("a"))
			_ = os.RemoveAll(r.path("kept")) // if Write has made another folder a
			r.pause(n % 30)
		}
	}()
	return func() { close(ended); <-stopped }
}

// pause takes the time of some system calls.
func (r rig) pause(calls int) {
	for range calls {
		_, _ = os.Lstat(r.dir)
	}
}

func swapRounds() int {
	if os.Getenv("ZAI_TEST_LOAD") != "" {
		return 20_000
	}
	return 300
}

func TestFolder_SwappedFolder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.swapFolder(t)
	wrote := 0
	for n := 0; n < swapRounds() || wrote == 0; n++ {
		if _, err := r.Write("a/x.png", []byte("x"), nil); err == nil {
			wrote++
		}
	}
	stop()
	t.Logf("%d files written", wrote)
}

// newRig looks for files that Check leaves in .git.
func TestFolder_CheckSwappedFolder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.swapFolder(t)
	passed := 0
	for n := 0; n < 3*swapRounds() || passed == 0; n++ {
		if r.Check("a/x.png") == nil {
			passed++
		}
	}
	stop()
	t.Logf("%d checks passed", passed)
}

// A process that is killed leaves its temporary file.
func TestFolder_Sweeps(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const id = "ABCDEFGHIJKLMNOPQRSTUVWXY2"
	old, young, foreign := "a/.zai-image-"+id+".tmp", "a/.zai-image-"+id[1:]+"3.tmp", "a/.zai-image-notes.tmp"
	checked := path.Base(old) // left by Check, whose folder did not exist
	for _, name := range []string{old, young, foreign, checked} {
		r.put(t, name, "half")
	}
	for _, name := range []string{old, foreign, checked} {
		yesterday := time.Now().Add(-24 * time.Hour)
		require.NoError(t, os.Chtimes(r.path(name), yesterday, yesterday))
	}
	_, err := r.Write("a/x.png", []byte("x"), nil)
	require.NoError(t, err)
	require.NoError(t, r.Check("new/x.png"))
	assert.ElementsMatch(t, []string{young, foreign, "a/x.png"}, files(t, r.dir))
	require.NoError(t, os.Remove(r.path(young)))
	require.NoError(t, os.Remove(r.path(foreign)))
}
