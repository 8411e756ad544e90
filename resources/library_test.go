package resources_test

import (
	"bytes"
	"context"
	"crypto/rand"
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

	"zai-image-mcp/resources"
)

func open(t testing.TB, folder string) *resources.Library {
	t.Helper()
	l := resources.New(resources.Options{Folder: folder, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// reserveOne reserves a call of one image.
func reserveOne(l *resources.Library, i resources.Image, budget int64) (resources.Image, error) {
	reserved, err := l.Reserve(context.Background(), resources.Reservation{Images: []resources.Image{i}, Count: 1, Budget: budget})
	if err != nil {
		return i, err
	}
	return reserved.New[0], nil
}

func reserve(t testing.TB, l *resources.Library, prompt string) resources.Image {
	t.Helper()
	i, err := reserveOne(l, resources.Image{
		Owner: "local", State: resources.Submitted, Model: "m", Prompt: prompt, Size: "40x30", Quality: "hd", CostMicroUSD: 10_000,
	}, 0)
	require.NoError(t, err)
	return i
}

func save(t testing.TB, l *resources.Library, prompt string, file []byte) resources.Image {
	t.Helper()
	i, err := l.Save(context.Background(), reserve(t, l, prompt), resources.Content{
		Reader: bytes.NewReader(file), MIMEType: "image/png", Extension: ".png", Width: 40, Height: 30,
	})
	require.NoError(t, err)
	return i
}

func TestSaveAndRead(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "pictures")
	l := open(t, folder)
	_, err := os.Stat(folder)
	require.ErrorIs(t, err, fs.ErrNotExist, "nothing is made before the first use")

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
	assert.Equal(t, i, again, "another process sees the same")
	b, err := l.Read(t.Context(), again)
	require.NoError(t, err)
	assert.Equal(t, file, b)

	_, err = l.Image(t.Context(), "somebody", i.ID)
	require.ErrorIs(t, err, resources.ErrNotFound, "another owner")
	for path, want := range map[string]fs.FileMode{l.Path(i): 0o644, filepath.Dir(l.Path(i)): 0o755, filepath.Join(folder, ".catalog.db"): 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		if runtime.GOOS != "windows" { // which has no such modes
			assert.Equal(t, want, info.Mode().Perm(), path)
		}
	}
}

func TestDamageIsFound(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"one bit": func(p string) error { return os.WriteFile(p, []byte("hellp"), 0o600) },
		"shorter": func(p string) error { return os.Truncate(p, 2) },
		"longer":  func(p string) error { return os.WriteFile(p, []byte("hello!"), 0o600) },
		"gone":    os.Remove,
	} {
		l := open(t, t.TempDir())
		i := save(t, l, "x", []byte("hello"))
		require.NoError(t, damage(l.Path(i)))
		_, err := l.Read(t.Context(), i)
		require.ErrorIs(t, err, resources.ErrCorrupt, name)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	l := open(t, t.TempDir())
	i := save(t, l, "x", []byte("hello"))
	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, []byte("hello"), 0o600))
	require.NoError(t, os.Remove(l.Path(i)))
	require.NoError(t, os.Symlink(outside, l.Path(i)))
	_, err := l.Read(t.Context(), i)
	require.Error(t, err)

	// Nor a link to a file inside.
	other := save(t, l, "y", []byte("hello"))
	require.NoError(t, os.Remove(l.Path(i)))
	require.NoError(t, os.Symlink(filepath.Base(other.Path), l.Path(i)))
	_, err = l.Read(t.Context(), i)
	require.ErrorContains(t, err, "not a regular file")

	// A linked folder must not lead a new image outside either.
	elsewhere := t.TempDir()
	folder := t.TempDir()
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(folder, time.Now().UTC().Format("2006"))))
	l = open(t, folder)
	_, err = l.Save(t.Context(), resources.Image{ID: i.ID, CreatedAt: time.Now(), Prompt: "x"}, resources.Content{Reader: strings.NewReader("x"), Extension: ".png"})
	require.ErrorIs(t, err, resources.ErrStorage)
	left, err := os.ReadDir(elsewhere)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestBrokenSourceLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	broken := errors.New("connection lost")
	i, err := l.Save(t.Context(), reserve(t, l, "x"), resources.Content{
		Reader: io.MultiReader(strings.NewReader("half"), readError{broken}), MIMEType: "image/png", Extension: ".png",
	})
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, resources.ErrStorage, "the disk is not to blame")
	assert.NotEqual(t, resources.Saved, i.State)
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() && !strings.Contains(path, ".catalog.db") {
			t.Errorf("left behind: %s", path)
		}
		return err
	}))
}

func TestTemporaryFilesOfTheDeadAreSwept(t *testing.T) {
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

type readError struct{ err error }

func (r readError) Read([]byte) (int, error) { return 0, r.err }

func TestUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	l := open(t, filepath.Join(file, "folder"))
	_, err := reserveOne(l, resources.Image{Owner: "local"}, 0)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, _, err = l.List(t.Context(), "local", "", "", 10)
	require.ErrorIs(t, err, resources.ErrStorage)
}

func TestNewerCatalogIsRefused(t *testing.T) {
	folder := t.TempDir()
	catalog := filepath.Join(folder, ".catalog.db")
	require.NoError(t, open(t, folder).Record(t.Context(), reserve(t, open(t, folder), "x")))
	setVersion(t, catalog, 99)
	_, err := open(t, folder).Image(t.Context(), "local", strings.Repeat("0", 26))
	require.ErrorIs(t, err, resources.ErrStorage)
	require.ErrorContains(t, err, "newer version")
}

// A commit survives a power cut, and several processes work side by side.
func TestCatalogSettings(t *testing.T) {
	l := open(t, t.TempDir())
	for name, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "busy_timeout": "15000"} {
		got, err := l.Pragma(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
}

func TestBudget(t *testing.T) {
	l := open(t, t.TempDir())
	picture := resources.Image{Owner: "local", State: resources.Submitted, CostMicroUSD: 10_000}
	const budget = 25_000
	for want := range 3 {
		i, err := reserveOne(l, picture, budget)
		if want == 2 {
			require.ErrorIs(t, err, resources.ErrBudget)
			continue
		}
		require.NoError(t, err)
		if want == 0 { // released money can be spent again
			i.State, i.Charged = resources.Failed, false
			require.NoError(t, l.Record(t.Context(), i))
			_, err = reserveOne(l, picture, budget)
			require.NoError(t, err)
		}
	}
	spent, err := l.SpentToday(t.Context(), "local", false)
	require.NoError(t, err)
	assert.InDelta(t, 0.02, spent, 1e-9)
	other := picture
	other.Owner = "somebody"
	_, err = reserveOne(l, other, budget)
	require.NoError(t, err, "each owner has a budget")
	play := picture
	play.Sandbox = true
	_, err = reserveOne(l, play, budget)
	require.NoError(t, err, "the sandbox's money is its own")
}

func TestBudgetIsExactUnderContention(t *testing.T) {
	folder := t.TempDir()
	var taken, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 { // processes
		l := open(t, folder)
		for range 10 {
			all.Go(func() {
				_, err := reserveOne(l, resources.Image{Owner: "local", CostMicroUSD: 10_000}, 150_000)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					taken++
				} else {
					assert.ErrorIs(t, err, resources.ErrBudget)
					refused++
				}
			})
		}
	}
	all.Wait()
	assert.Equal(t, 15, taken)
	assert.Equal(t, 25, refused)
}

func TestPages(t *testing.T) {
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

func TestRemove(t *testing.T) {
	l := open(t, t.TempDir())
	i := save(t, l, "x", pngPhoto(t, 64, 48))
	_, err := l.Preview(t.Context(), i)
	require.NoError(t, err)
	require.ErrorIs(t, l.Remove(t.Context(), "somebody", i.ID), resources.ErrNotFound)
	require.NoError(t, l.Remove(t.Context(), "local", i.ID))
	require.ErrorIs(t, l.Remove(t.Context(), "local", i.ID), resources.ErrNotFound)
	_, err = os.Stat(l.Path(i))
	require.ErrorIs(t, err, fs.ErrNotExist)
	spent, err := l.SpentToday(t.Context(), "local", false)
	require.NoError(t, err)
	assert.InDelta(t, 0.01, spent, 1e-9, "deleting an image does not bring its money back")
	list, _, err := l.List(t.Context(), "local", "", "", 10)
	require.NoError(t, err)
	assert.Empty(t, list)
}

// Nothing of an answer that was not understood stays: it may hold the prompt
// and a link to the image.
func TestRemove_UpstreamAnswer(t *testing.T) {
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

// An image that is saved while it is removed leaves no file.
func TestRemove_BesideSave(t *testing.T) {
	folder := t.TempDir()
	l, other := open(t, folder), open(t, folder)
	for range 150 {
		i := reserve(t, l, "x")
		i.State, i.UpstreamURL, i.Failure = resources.Answered, "https://images.example/x.png", &resources.Failure{Kind: "download"}
		require.NoError(t, l.Record(t.Context(), i))
		var both sync.WaitGroup
		both.Go(func() {
			_, err := other.Save(context.Background(), i, resources.Content{Reader: strings.NewReader("x"), MIMEType: "image/png", Extension: ".png"})
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

// Several hosts start a server each, all on one folder.
func TestTwoProcessesOnOneFolder(t *testing.T) {
	if os.Getenv("ZAI_TEST_SAVER") != "" {
		saveMany(t, os.Getenv("ZAI_TEST_SAVER"))
		return
	}
	folder := t.TempDir()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			out, err := testProcess(t, "TestTwoProcessesOnOneFolder", "ZAI_TEST_SAVER="+folder).CombinedOutput()
			assert.NoError(t, err, string(out))
		})
	}
	all.Wait()
	l := open(t, folder)
	rows, _, err := l.List(t.Context(), "local", "", "", 1000)
	require.NoError(t, err)
	require.Len(t, rows, 400)
	for _, i := range rows {
		b, err := l.Read(t.Context(), i)
		require.NoError(t, err)
		assert.Equal(t, i.Prompt, string(b))
	}
	files, err := filepath.Glob(filepath.Join(folder, "*", "*", "*", "*.png"))
	require.NoError(t, err)
	assert.Len(t, files, 400)
}

func saveMany(t *testing.T, folder string) {
	l := open(t, folder)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range 25 {
				prompt := fmt.Sprintf("%d %d %d", os.Getpid(), worker, n)
				save(t, l, prompt, []byte(prompt))
			}
		})
	}
	all.Wait()
}
