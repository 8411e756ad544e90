package resources_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// A saved image has the exact bytes, the documented path and modes, and is visible
// to other processes and to its owner only.
func TestSave(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "images")
	l := open(t, folder)
	_, err := os.Stat(folder)
	require.ErrorIs(t, err, fs.ErrNotExist, "nothing is created before the first use")

	file := []byte("\x89PNG not really")
	i := save(t, l, "A cute, little kitten!", file)
	sum := sha256.Sum256(file)
	assert.Equal(t, resources.Saved, i.State)
	assert.Equal(t, hex.EncodeToString(sum[:]), i.SHA256)
	assert.Equal(t, i.CreatedAt.Format("2006/01/02/")+"a-cute-little-kitten-"+i.ID+".png", i.Path)
	onDisk, err := os.ReadFile(l.Path(i))
	require.NoError(t, err)
	assert.Equal(t, file, onDisk)

	again, err := open(t, folder).Image(t.Context(), "local", i.ID)
	require.NoError(t, err)
	assert.Equal(t, i, again, "another process gets the same image")
	b, err := l.Read(t.Context(), again)
	require.NoError(t, err)
	assert.Equal(t, file, b)

	_, err = l.Image(t.Context(), "somebody", i.ID)
	require.ErrorIs(t, err, resources.ErrNotFound, "another owner")
	for path, want := range map[string]fs.FileMode{l.Path(i): 0o644, filepath.Dir(l.Path(i)): 0o755, filepath.Join(folder, ".catalog.db"): 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		if runtime.GOOS != "windows" { // Windows has no such modes
			assert.Equal(t, want, info.Mode().Perm(), path)
		}
	}
}

// Read fails for a file that differs from what was saved.
func TestRead_DamagedFile(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"one bit": func(p string) error { return os.WriteFile(p, []byte("hellp"), 0o600) },
		"shorter": func(p string) error { return os.Truncate(p, 2) },
		"longer":  func(p string) error { return os.WriteFile(p, []byte("hello!"), 0o600) },
		"missing": os.Remove,
	} {
		l := open(t, t.TempDir())
		i := save(t, l, "x", []byte("hello"))
		require.NoError(t, damage(l.Path(i)))
		_, err := l.Read(t.Context(), i)
		require.ErrorIs(t, err, resources.ErrCorrupt, name)
	}
}

// ReadAgain hashes a file again once it was changed, and after a while.
func TestReadAgain_Damaged(t *testing.T) {
	t.Parallel()
	for name, pass := range map[string]struct{ file, clock time.Duration }{
		"written":          {file: time.Second},
		"silently changed": {clock: 10 * time.Minute},
	} {
		now := time.Now()
		l := openWith(t, libraryOptions{Now: func() time.Time { return now }})
		i := save(t, l, "x", []byte("hello"))
		for range 2 {
			_, err := l.ReadAgain(t.Context(), i)
			require.NoError(t, err, name)
		}
		before, err := os.Stat(l.Path(i))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(l.Path(i), []byte("hellp"), 0o600))
		later := before.ModTime().Add(pass.file)
		require.NoError(t, os.Chtimes(l.Path(i), later, later))
		now = now.Add(pass.clock)
		_, err = l.ReadAgain(t.Context(), i)
		require.ErrorIs(t, err, resources.ErrCorrupt, name)
	}
}

// networkStore is a store whose files are not on this machine.
type networkStore struct{ resources.Store }

func (networkStore) Path(string) string { return "" }

// Each read from a network is hashed; a file on this machine that looks unchanged is
// hashed once in a while.
func TestReadAgain_DamagedOnNetwork(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wrap func(resources.Store) resources.Store
		want error
	}{
		"network":      {func(s resources.Store) resources.Store { return networkStore{s} }, resources.ErrCorrupt},
		"this machine": {nil, nil},
	} {
		folder := t.TempDir()
		l := openWith(t, libraryOptions{Folder: folder, WrapStore: tt.wrap})
		i := save(t, l, "x", []byte("hello"))
		_, err := l.ReadAgain(t.Context(), i)
		require.NoError(t, err, name)
		path := filepath.Join(folder, filepath.FromSlash(i.Path))
		before, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte("hellp"), 0o600))
		require.NoError(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
		_, err = l.ReadAgain(t.Context(), i)
		require.ErrorIs(t, err, tt.want, name)
		_, err = l.Read(t.Context(), i)
		require.ErrorIs(t, err, resources.ErrCorrupt, name)
	}
}

// Neither reading nor saving follows symbolic links.
func TestLibrary_SymbolicLinks(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	i := save(t, l, "x", []byte("hello"))
	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, []byte("hello"), 0o600))
	require.NoError(t, os.Remove(l.Path(i)))
	require.NoError(t, os.Symlink(outside, l.Path(i)))
	_, err := l.Read(t.Context(), i)
	require.Error(t, err)

	// A link to a file inside the folder is not followed either.
	other := save(t, l, "y", []byte("hello"))
	require.NoError(t, os.Remove(l.Path(i)))
	require.NoError(t, os.Symlink(filepath.Base(other.Path), l.Path(i)))
	_, err = l.Read(t.Context(), i)
	require.ErrorContains(t, err, "not a regular file")

	// A new image is not saved through a linked folder.
	elsewhere := t.TempDir()
	folder := t.TempDir()
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(folder, time.Now().UTC().Format("2006"))))
	l = open(t, folder)
	_, err = l.Save(t.Context(), resources.Image{ID: i.ID, CreatedAt: time.Now(), Prompt: "x"}, resources.Content{Reader: strings.NewReader("x"), Extension: ".png"}, "")
	require.ErrorIs(t, err, resources.ErrStorage)
	left, err := os.ReadDir(elsewhere)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// If the content's reader fails, Save returns its error and leaves no file.
func TestSave_ReaderError(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	broken := errors.New("connection lost")
	i, err := l.Save(t.Context(), reserve(t, l, "x"), resources.Content{
		Reader: io.MultiReader(strings.NewReader("half"), readError{broken}), MIMEType: "image/png", Extension: ".png",
	}, "")
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, resources.ErrStorage, "it is not an error of the disk")
	assert.NotEqual(t, resources.Saved, i.State)
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() && !strings.Contains(path, ".catalog.db") {
			t.Errorf("left behind: %s", path)
		}
		return err
	}))
}

// Save removes old temporary files of dead processes and keeps new ones.
func TestSave_StaleTemporaryFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	day := filepath.Join(folder, time.Now().UTC().Format("2006/01/02"))
	require.NoError(t, os.MkdirAll(day, 0o755))
	dead, alive := filepath.Join(day, ".tmp-dead.png"), filepath.Join(day, ".tmp-alive.png")
	require.NoError(t, os.WriteFile(dead, nil, 0o600))
	require.NoError(t, os.WriteFile(alive, nil, 0o600))
	require.NoError(t, os.Chtimes(dead, time.Now(), time.Now().Add(-2*time.Hour)))
	save(t, open(t, folder), "x", []byte("x"))
	_, err := os.Stat(dead)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = os.Stat(alive)
	require.NoError(t, err)
}

// Pages list every saved image once, newest first, and special characters in a
// query are literal.
func TestList_Pages(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	var want []string
	for n := range 25 {
		want = append([]string{save(t, l, fmt.Sprintf("image %d 50%%_\\", n), []byte("x")).ID}, want...)
	}
	reserve(t, l, "not saved, not listed")
	for _, size := range []int{1, 7, 25, 26, 100} {
		var got []string
		cursor := ""
		for {
			page, next, err := l.List(t.Context(), "local", "", cursor, size)
			require.NoError(t, err)
			for _, i := range page {
				got = append(got, i.ID)
			}
			if cursor = next; next == "" {
				break
			}
			require.Len(t, page, size)
		}
		assert.Equal(t, want, got, "newest first, each once, pages of %d", size)
	}
	found, _, err := l.List(t.Context(), "local", "IMAGE 7", "", 10)
	require.NoError(t, err)
	require.Len(t, found, 2, "7 and 17")
	found, _, err = l.List(t.Context(), "local", `50%_\`, "", 100)
	require.NoError(t, err)
	assert.Len(t, found, 25, "special characters are literal")
	found, _, err = l.List(t.Context(), "local", `5_0%`, "", 100)
	require.NoError(t, err)
	assert.Empty(t, found)
}

// Remove deletes an image with its file and preview, but its cost still counts.
func TestRemove(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	i := save(t, l, "x", testrig.PNGPhoto(t, 64, 48))
	_, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	require.ErrorIs(t, l.Remove(t.Context(), "somebody", i.ID), resources.ErrNotFound)
	require.NoError(t, l.Remove(t.Context(), "local", i.ID))
	require.ErrorIs(t, l.Remove(t.Context(), "local", i.ID), resources.ErrNotFound)
	_, err = os.Stat(l.Path(i))
	require.ErrorIs(t, err, fs.ErrNotExist)
	spent, err := l.SpentToday(t.Context(), "local", false)
	require.NoError(t, err)
	assert.InDelta(t, 0.01, spent, 1e-9, "the cost of a removed image still counts")
	list, _, err := l.List(t.Context(), "local", "", "", 10)
	require.NoError(t, err)
	assert.Empty(t, list)
}

// An image that was removed after a call looked it up is not found, rather than damaged.
func TestRemove_WhileInUse(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	i := save(t, l, "x", testrig.PNGPhoto(t, 64, 48))
	require.NoError(t, l.Remove(t.Context(), "local", i.ID))
	_, err := l.Read(t.Context(), i)
	require.ErrorIs(t, err, resources.ErrNotFound)
	_, err = l.Open(t.Context(), i)
	require.ErrorIs(t, err, resources.ErrNotFound)
	_, err = l.Export(t.Context(), i, spec(t, "png-32x32-cover"))
	require.ErrorIs(t, err, resources.ErrNotFound)
}

// Remove clears an API response that could not be interpreted, because it may contain
// the prompt and a link to the image.
func TestRemove_UpstreamAnswer(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	i := reserve(t, l, "a secret plan")
	i.State, i.Failure, i.UpstreamAnswer = resources.Unknown, &resources.Failure{Kind: "outcome_unknown"}, `{"echo":"a secret plan"}`
	require.NoError(t, l.Record(t.Context(), i))
	require.NoError(t, l.Remove(t.Context(), "local", i.ID))
	var kept string
	row := openSQLite(t, filepath.Join(folder, ".catalog.db")).QueryRowContext(t.Context(), `SELECT upstream_answer || prompt || upstream_url || path FROM images WHERE id=?`, i.ID)
	require.NoError(t, row.Scan(&kept))
	assert.Empty(t, kept)
}

// An image that is removed while it is being saved leaves no file.
func TestRemove_DuringSave(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l, other := open(t, folder), open(t, folder)
	for range 60 {
		i := reserve(t, l, "x")
		i.State, i.UpstreamURL, i.Failure = resources.FetchFailed, "https://images.example/x.png", &resources.Failure{Kind: "download"}
		require.NoError(t, l.Record(t.Context(), i))
		var both sync.WaitGroup
		both.Go(func() {
			_, err := other.Save(context.Background(), i, resources.Content{Reader: strings.NewReader("x"), MIMEType: "image/png", Extension: ".png"}, "")
			if err != nil {
				assert.ErrorIs(t, err, resources.ErrNotFound)
			}
		})
		both.Go(func() { assert.NoError(t, l.Remove(context.Background(), "local", i.ID)) })
		both.Wait()
	}
	left, err := filepath.Glob(filepath.Join(folder, "*", "*", "*", "*.png"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// afterSettled is a catalog that calls do after a Record that fails with ErrSettled.
type afterSettled struct {
	resources.Catalog
	do func()
}

func (c *afterSettled) Record(ctx context.Context, i resources.Image, guard resources.Guard) error {
	err := c.Catalog.Record(ctx, i, guard)
	if errors.Is(err, resources.ErrSettled) {
		c.do()
	}
	return err
}

// While one process saves an image, another has saved it too and then found its own
// file missing. The image keeps the file of the first process.
func TestSave_ResetByOtherProcess(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	other := open(t, folder)
	i := reserve(t, other, "x") // without a link
	content := func(extension string) resources.Content {
		return resources.Content{Reader: bytes.NewReader(tiny(t, 1)), MIMEType: "image/png", Extension: extension, Width: 4, Height: 3}
	}
	saved, err := other.Save(t.Context(), i, content(".jpg"), "")
	require.NoError(t, err)
	require.NoError(t, os.Remove(other.Path(saved)))
	var (
		done      string
		repairErr error
	)
	l := newLibrary(libraryOptions{Folder: folder, Now: time.Now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler), Wrap: func(c resources.Catalog) resources.Catalog {
		return &afterSettled{Catalog: c, do: sync.OnceFunc(func() {
			problem := resources.Problem{Kind: resources.Missing, ID: i.ID, Path: saved.Path}
			done, repairErr = other.Repair(context.Background(), problem)
		})}
	}})
	defer l.Close()
	got, err := l.Save(t.Context(), i, content(".png"), "")
	require.NoError(t, err)
	require.NoError(t, repairErr)
	assert.Contains(t, done, "lost")
	assert.Equal(t, resources.Saved, got.State)
	_, err = l.Read(t.Context(), got)
	require.NoError(t, err)
}

// Two processes can save images in one folder at the same time.
func TestLibrary_TwoProcesses(t *testing.T) {
	t.Parallel()
	if os.Getenv("ZAI_TEST_SAVER") != "" {
		saveMany(t, os.Getenv("ZAI_TEST_SAVER"))
		return
	}
	folder := t.TempDir()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			out, err := testProcess(t, "TestLibrary_TwoProcesses", "ZAI_TEST_SAVER="+folder).CombinedOutput()
			assert.NoError(t, err, string(out))
		})
	}
	all.Wait()
	l := open(t, folder)
	images, _, err := l.List(t.Context(), "local", "", "", 1000)
	require.NoError(t, err)
	require.Len(t, images, 80)
	for _, i := range images {
		b, err := l.Read(t.Context(), i)
		require.NoError(t, err)
		assert.Equal(t, i.Prompt, string(b))
	}
	files, err := filepath.Glob(filepath.Join(folder, "*", "*", "*", "*.png"))
	require.NoError(t, err)
	assert.Len(t, files, 80)
}

func saveMany(t *testing.T, folder string) {
	l := open(t, folder)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range 5 {
				prompt := fmt.Sprintf("%d %d %d", os.Getpid(), worker, n)
				save(t, l, prompt, []byte(prompt))
			}
		})
	}
	all.Wait()
}

// Record adds an image that is missing because the catalog was replaced.
func TestRecord_UnknownImage(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	i := reserve(t, open(t, t.TempDir()), "x")
	i.State, i.UpstreamURL = resources.Answered, "https://images.example/x.png"
	require.NoError(t, l.Record(t.Context(), i))
	got, err := l.Image(t.Context(), "local", i.ID)
	require.NoError(t, err)
	assert.Equal(t, i, got)
	require.NoError(t, l.Remove(t.Context(), "local", save(t, l, "y", []byte("y")).ID))
	removed := i
	removed.ID = got.ID
	require.NoError(t, l.Record(t.Context(), removed))
}

// Ids sort in the order of their creation, even if the clock is set back.
func TestNewID_ClockSetBack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLibrary(libraryOptions{Folder: t.TempDir(), Now: func() time.Time { return now }, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	defer l.Close()
	last := ""
	for range 20 {
		id, err := l.NewID()
		require.NoError(t, err)
		assert.Greater(t, id, last)
		last, now = id, now.Add(-time.Minute)
	}
}
