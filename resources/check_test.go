package resources_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// tiny is an image file like no other.
func tiny(t testing.TB, n int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 4, 3))
	img.Set(0, 0, color.RGBA{uint8(n), uint8(n >> 8), uint8(n >> 16), 255})
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

// putFile writes an image where a library would have it, and gives its id.
func putFile(t testing.TB, l *resources.Library, folder, words string, file []byte) (id, name string) {
	t.Helper()
	id, err := l.NewID()
	require.NoError(t, err)
	name = "2026/11/20/" + words + "-" + id + ".png"
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "2026/11/20"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), file, 0o600))
	return id, name
}

func found(report resources.Report) map[resources.ProblemKind][]string {
	all := map[resources.ProblemKind][]string{}
	for _, p := range report.Problems {
		all[p.Kind] = append(all[p.Kind], p.ID)
	}
	for _, ids := range all {
		slices.Sort(ids)
	}
	return all
}

// Every flipped bit, missing file and unknown file is found, and nothing else.
func TestCheckFindsEverything(t *testing.T) {
	pictures := 1_000
	if os.Getenv("ZAI_TEST_FULL") != "" {
		pictures = 10_000
	}
	flips, gone, orphans := pictures/10, pictures/50, pictures/100
	folder := t.TempDir()
	l := open(t, folder)
	var names, all []string
	for n := range pictures {
		id, name := putFile(t, l, folder, "picture", tiny(t, n))
		all, names = append(all, id), append(names, name)
	}
	taken, err := l.Reindex(t.Context(), "local", nil)
	require.NoError(t, err)
	require.Len(t, taken, pictures)
	steps := 0
	var mu sync.Mutex
	report, err := l.Check(t.Context(), true, func(done, total int) {
		mu.Lock()
		defer mu.Unlock()
		steps++
		assert.LessOrEqual(t, done, total)
		assert.Equal(t, pictures, total)
	})
	require.NoError(t, err)
	assert.Equal(t, pictures, report.Images)
	assert.Equal(t, pictures, steps)
	assert.Empty(t, report.Problems, "no false alarm")

	want := map[resources.ProblemKind][]string{}
	for n, victim := range rand.Perm(pictures)[:flips+gone] {
		path := filepath.Join(folder, names[victim])
		if n >= flips {
			require.NoError(t, os.Remove(path))
			want[resources.Missing] = append(want[resources.Missing], all[victim])
			continue
		}
		file, err := os.ReadFile(path)
		require.NoError(t, err)
		file[rand.IntN(len(file))] ^= 1 << rand.IntN(8)
		require.NoError(t, os.WriteFile(path, file, 0o600))
		want[resources.Damaged] = append(want[resources.Damaged], all[victim])
	}
	for n := range orphans {
		id, _ := putFile(t, l, folder, "orphan", tiny(t, n))
		want[resources.Orphan] = append(want[resources.Orphan], id)
	}
	for _, ids := range want {
		slices.Sort(ids)
	}
	report, err = l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Equal(t, want, found(report))
	delete(want, resources.Damaged) // their sizes are right
	report, err = l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	assert.Equal(t, want, found(report))
}

// Images come and go while the library is checked: no false alarm.
func TestCheckBesideWriters(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	save(t, l, "first", tiny(t, 0))
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for writer := range 3 {
		other := open(t, folder)
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				reserved, err := other.Reserve(context.Background(), resources.Reservation{
					Images: []resources.Image{{Owner: "local", State: resources.Submitted, Prompt: fmt.Sprint(writer, n), CostMicroUSD: 1}}, Count: 1,
					Lease: resources.Lease{Process: "x", Until: time.Now().Add(time.Minute)},
				})
				if err != nil {
					t.Error(err)
					return
				}
				i, err := other.Save(context.Background(), reserved.New[0], resources.Content{Reader: bytes.NewReader(tiny(t, n)), MIMEType: "image/png", Extension: ".png", Width: 4, Height: 3})
				if err == nil && n%2 == 0 {
					err = other.Remove(context.Background(), "local", i.ID)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	checks := 0
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); checks++ {
		report, err := l.Check(t.Context(), true, nil)
		require.NoError(t, err)
		assert.Empty(t, report.Problems)
	}
	stop()
	all.Wait()
	assert.Greater(t, checks, 2)
}

// later is the library as a process sees it whose clock is ahead.
func later(t *testing.T, folder string, ahead time.Duration) *resources.Library {
	t.Helper()
	now := func() time.Time { return time.Now().Add(ahead) }
	l := resources.New(resources.Options{Folder: folder, Now: now, Random: crand.Reader, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// What repair makes of each problem, and that it changes nothing about money.
func TestRepair(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	withLink := func(prompt string) resources.Image {
		i := reserve(t, l, prompt)
		i.State, i.UpstreamURL = resources.Answered, "https://x.example/"+prompt
		require.NoError(t, l.Record(t.Context(), i))
		i, err := l.Save(t.Context(), i, resources.Content{Reader: bytes.NewReader(tiny(t, len(prompt))), MIMEType: "image/png", Extension: ".png", Width: 4, Height: 3})
		require.NoError(t, err)
		return i
	}
	damaged, missing, removed, sound := withLink("damaged"), withLink("missing"), withLink("removed"), withLink("sound")
	lost := save(t, l, "lost", tiny(t, 9))
	file, err := os.ReadFile(l.Path(removed))
	require.NoError(t, err)
	require.NoError(t, l.Remove(t.Context(), "local", removed.ID))
	require.NoError(t, os.WriteFile(l.Path(removed), file, 0o600))
	require.NoError(t, os.WriteFile(l.Path(damaged), []byte("x"), 0o600))
	require.NoError(t, os.Remove(l.Path(missing)))
	require.NoError(t, os.Remove(l.Path(lost)))
	old := filepath.Join(filepath.Dir(l.Path(sound)), ".tmp-x")
	require.NoError(t, os.WriteFile(old, nil, 0o600))
	require.NoError(t, os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)))
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{damaged.ID}, found(report)[resources.Damaged], "its size tells")
	report, err = l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Len(t, report.Problems, 4, "the file of what was removed just now may still be there")
	l = later(t, folder, time.Hour)
	report, err = l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Len(t, report.Problems, 5)
	for _, p := range report.Problems {
		done, err := l.Repair(t.Context(), p)
		require.NoError(t, err)
		assert.NotEmpty(t, done)
	}
	for _, gone := range []string{old, l.Path(removed), l.Path(damaged)} {
		_, err := os.Stat(gone)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	aside, err := filepath.Glob(filepath.Join(folder, ".damaged", "*"+damaged.ID+"*"))
	require.NoError(t, err)
	assert.Len(t, aside, 1, "nothing is deleted that may hold an image")
	for id, state := range map[string]resources.State{damaged.ID: resources.Answered, missing.ID: resources.Answered, lost.ID: resources.Failed, sound.ID: resources.Saved} {
		i, err := l.Image(t.Context(), "local", id)
		require.NoError(t, err)
		assert.Equal(t, state, i.State)
		assert.True(t, i.Charged)
		assert.Equal(t, state != resources.Saved, i.Failure != nil)
	}
	spent, err := l.Spending(t.Context(), "local", time.Time{})
	require.NoError(t, err)
	assert.InDelta(t, 0.05, spent[0].CostUSD, 1e-9)
	report, err = l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Equal(t, []resources.ProblemKind{resources.Unsaved, resources.Unsaved}, []resources.ProblemKind{report.Problems[0].Kind, report.Problems[1].Kind})
	assert.Len(t, report.Problems, 2)
	list, err := l.Claim(t.Context(), resources.Lease{Process: "next", Until: time.Now().Add(2 * time.Hour)}, 10, false)
	require.NoError(t, err)
	assert.Len(t, list, 2, "they are fetched again at once")
	report, err = l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Equal(t, 2, report.Working)
}

// What is not known to be damaged is left alone.
func TestRepairIsCareful(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	linked, moved, mended := save(t, l, "linked", tiny(t, 1)), save(t, l, "moved", tiny(t, 2)), save(t, l, "mended", tiny(t, 3))
	aside := filepath.Join(folder, "aside.png")
	require.NoError(t, os.Rename(l.Path(linked), aside))
	require.NoError(t, os.Symlink(aside, l.Path(linked)))
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "favourites"), 0o755))
	require.NoError(t, os.Rename(l.Path(moved), filepath.Join(folder, "favourites", filepath.Base(moved.Path))))
	require.NoError(t, os.WriteFile(l.Path(mended), tiny(t, 4), 0o600))
	report, err := l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Equal(t, map[resources.ProblemKind][]string{
		resources.Unreadable: {linked.ID}, resources.Moved: {moved.ID}, resources.Damaged: {mended.ID},
	}, found(report))
	require.NoError(t, os.WriteFile(l.Path(mended), tiny(t, 3), 0o600)) // from a backup, meanwhile
	for _, p := range report.Problems {
		done, err := l.Repair(t.Context(), p)
		require.NoError(t, err)
		assert.Equal(t, map[resources.ProblemKind]string{resources.Unreadable: "", resources.Moved: "found again", resources.Damaged: "intact again"}[p.Kind], done)
	}
	for _, id := range []string{linked.ID, moved.ID, mended.ID} {
		i, err := l.Image(t.Context(), "local", id)
		require.NoError(t, err)
		assert.Equal(t, resources.Saved, i.State)
	}
	_, err = os.Lstat(l.Path(linked))
	require.NoError(t, err)
}

// A file that the user moved within the folder is found, whether or not it could
// be fetched again; one with other bytes is not taken for it.
func TestMissing_MovedFile(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	elsewhere := filepath.Join(folder, "favourites")
	require.NoError(t, os.MkdirAll(elsewhere, 0o755))
	for _, link := range []string{"", "https://images.example/x.png"} {
		moved, changed := reserve(t, l, "moved"), reserve(t, l, "changed")
		for _, i := range []*resources.Image{&moved, &changed} {
			i.State, i.UpstreamURL = resources.Answered, link
			saved, err := l.Save(t.Context(), *i, resources.Content{Reader: bytes.NewReader(tiny(t, 1)), MIMEType: "image/png", Extension: ".png", Width: 4, Height: 3})
			require.NoError(t, err)
			*i = saved
			require.NoError(t, os.Rename(l.Path(saved), filepath.Join(elsewhere, filepath.Base(saved.Path))))
		}
		require.NoError(t, os.WriteFile(filepath.Join(elsewhere, filepath.Base(changed.Path)), tiny(t, 2), 0o600))
		for i, want := range map[*resources.Image]bool{&moved: true, &changed: false} {
			missing, err := l.Missing(t.Context(), *i)
			require.NoError(t, err)
			assert.True(t, missing)
			now, err := l.Image(t.Context(), "local", i.ID)
			require.NoError(t, err)
			assert.Equal(t, want, now.State == resources.Saved)
			if want {
				_, err = l.Read(t.Context(), now)
				require.NoError(t, err)
			}
		}
	}
}

func TestAFolderThatIsNotThere(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "not mounted")
	l := resources.New(resources.Options{Folder: folder, Catalog: filepath.Join(t.TempDir(), "c.db"), Now: time.Now, Random: crand.Reader, Log: slog.New(slog.DiscardHandler)})
	defer l.Close()
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err, "before the first image there is none")
	assert.Empty(t, report.Problems)
	_, err = os.Stat(folder)
	require.ErrorIs(t, err, os.ErrNotExist, "to look changes nothing")
	save(t, l, "a fox", tiny(t, 1))
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED here: Windows does not let a folder go that is in use")
	}
	require.NoError(t, os.Rename(folder, folder+" any more"))
	_, err = l.Check(t.Context(), false, nil)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, err = l.Reindex(t.Context(), "local", nil)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, err = os.Stat(folder)
	require.ErrorIs(t, err, os.ErrNotExist, "to look changes nothing")
}

// The catalog is gone: all images come back, with what their files tell.
func TestReindexALostCatalog(t *testing.T) {
	folder := t.TempDir()
	first := open(t, folder)
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
		})
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
	assert.Len(t, list, len(want)+1, "what has no name of ours is left alone")
	for _, a := range list {
		assert.Equal(t, a.Path != broken, a.OK, a.Note)
	}
	for id, i := range want {
		back, err := l.Image(t.Context(), "alice", id)
		require.NoError(t, err)
		assert.Equal(t, []any{i.Path, i.MIMEType, i.SHA256, i.Bytes, i.Width, i.Height, resources.Saved, "a fox 狐狸", false},
			[]any{back.Path, back.MIMEType, back.SHA256, back.Bytes, back.Width, back.Height, back.State, back.Prompt, back.Charged})
		assert.WithinDuration(t, i.CreatedAt, back.CreatedAt, time.Second)
		_, err = l.Read(t.Context(), back)
		require.NoError(t, err)
	}
	again, err := l.Reindex(t.Context(), "alice", nil)
	require.NoError(t, err)
	assert.Len(t, again, 1, "only the broken one is told again")
}

// Files whose rows know less, or more, than the file does.
func TestReindexWhatTheCatalogKnows(t *testing.T) {
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
	// A disk failed between file and row.
	unfinished := reserve(t, l, "unfinished")
	unfinished.State, unfinished.Failure = resources.Unknown, &resources.Failure{Kind: "storage"}
	require.NoError(t, l.Record(t.Context(), unfinished))
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, "unfinished-"+unfinished.ID+".png"), tiny(t, 6), 0o600))

	// It was damaged and put aside, and something else lies in its place.
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
	require.ErrorIs(t, err, resources.ErrNotFound, "the user's wish stands")
}

func TestSpending(t *testing.T) {
	now := time.Date(2026, 11, 20, 23, 59, 0, 0, time.UTC)
	l := resources.New(resources.Options{Folder: t.TempDir(), Now: func() time.Time { return now }, Random: strings.NewReader(strings.Repeat("0123456789", 100)), Log: nil})
	defer l.Close()
	for n, i := range []resources.Image{
		{Owner: "local", Model: "glm-image", CostMicroUSD: 15_000}, {Owner: "local", Model: "glm-image", CostMicroUSD: 15_000},
		{Owner: "alice", Model: "cogview-4-250304", CostMicroUSD: 10_000}, {Owner: "local", Model: "glm-image", CostMicroUSD: 15_000, Sandbox: true},
		{Owner: "local", Model: "glm-image", CostMicroUSD: 15_000}, {Owner: "local", Model: "glm-image", CostMicroUSD: 15_000},
	} {
		if n == 4 {
			now = now.Add(time.Hour)
		}
		i.State = resources.Submitted
		kept, err := reserveOne(l, i, 0)
		require.NoError(t, err)
		if n == 5 { // refused: not charged
			kept.State, kept.Charged = resources.Failed, false
			require.NoError(t, l.Record(t.Context(), kept))
		}
	}
	all, err := l.Spending(t.Context(), "", now.AddDate(0, 0, -1))
	require.NoError(t, err)
	assert.Equal(t, []resources.Spending{
		{Day: "2026-11-21", Owner: "local", Model: "glm-image", Images: 1, CostUSD: 0.015},
		{Day: "2026-11-20", Owner: "alice", Model: "cogview-4-250304", Images: 1, CostUSD: 0.01},
		{Day: "2026-11-20", Owner: "local", Model: "glm-image", Images: 2, CostUSD: 0.03},
		{Day: "2026-11-20", Owner: "local", Model: "glm-image", Sandbox: true, Images: 1, CostUSD: 0.015},
	}, all)
	today, err := l.Spending(t.Context(), "local", now)
	require.NoError(t, err)
	assert.Len(t, today, 1)
}
