package resources_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// found returns the sorted ids of a report's problems by kind.
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

// Check reports every flipped bit, missing file and unknown file, and nothing else.
// ZAI_TEST_FULL=1 runs it with 10,000 images.
func TestCheck_DamagedFiles(t *testing.T) {
	t.Parallel()
	images := 520 // more than a page of the catalog
	if os.Getenv("ZAI_TEST_FULL") != "" {
		images = 10_000
	}
	flips, gone, orphans := images/10, images/50, images/100
	folder := t.TempDir()
	l := open(t, folder)
	var names, all []string
	for n := range images {
		id, name := putFile(t, l, folder, "image", tiny(t, n))
		all, names = append(all, id), append(names, name)
	}
	added, err := l.Reindex(t.Context(), "local", nil)
	require.NoError(t, err)
	require.Len(t, added, images)
	steps := 0
	var mu sync.Mutex
	report, err := l.Check(t.Context(), true, func(done, total int) {
		mu.Lock()
		defer mu.Unlock()
		steps++
		assert.LessOrEqual(t, done, total)
		assert.Equal(t, images, total)
	})
	require.NoError(t, err)
	assert.Equal(t, images, report.Images)
	assert.Equal(t, images, steps)
	assert.Empty(t, report.Problems, "intact images have no problems")

	want := map[resources.ProblemKind][]string{}
	for n, victim := range rand.Perm(images)[:flips+gone] {
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
	delete(want, resources.Damaged) // their sizes did not change
	report, err = l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	assert.Equal(t, want, found(report))
}

// Check reports no problems while other processes save and remove images.
func TestCheck_DuringWrites(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	save(t, l, "first", tiny(t, 0))
	const each = 10
	var all sync.WaitGroup
	for writer := range 3 {
		other := open(t, folder)
		all.Go(func() {
			for n := range each {
				id, err := other.NewID()
				if err != nil {
					t.Error(err)
					return
				}
				reserved, err := other.Catalog().Reserve(context.Background(), resources.Reservation{
					Images: []resources.Image{{ID: id, Owner: "local", State: resources.Submitted, Prompt: fmt.Sprint(writer, n), CostMicroUSD: 1}}, Count: 1,
					Lease: resources.Lease{Process: "x", For: time.Minute},
				})
				if err != nil {
					t.Error(err)
					return
				}
				i, err := other.Save(context.Background(), reserved.New[0], resources.Content{Reader: bytes.NewReader(tiny(t, n)), MIMEType: "image/png", Extension: ".png", Width: 4, Height: 3}, "")
				if err == nil && n%2 == 0 {
					err = other.Remove(context.Background(), "local", i.ID)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for checks := 0; ; checks++ {
		report, err := l.Check(t.Context(), true, nil)
		require.NoError(t, err)
		assert.Empty(t, report.Problems)
		select {
		case <-done:
		default:
			continue
		}
		if checks > 2 {
			break
		}
	}
	images, _, err := l.List(t.Context(), "local", "", "", 1000)
	require.NoError(t, err)
	assert.Len(t, images, 1+3*each/2)
}

// Check and Reindex do not create a missing folder, and fail if it existed before.
func TestCheck_FolderMissing(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "not mounted")
	l := newLibrary(libraryOptions{Folder: folder, Catalog: filepath.Join(t.TempDir(), "c.db"), Now: time.Now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	defer l.Close()
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err, "the folder does not exist before the first image")
	assert.Empty(t, report.Problems)
	_, err = os.Stat(folder)
	require.ErrorIs(t, err, os.ErrNotExist, "checking creates nothing")
	save(t, l, "a fox", tiny(t, 1))
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: Windows does not rename a folder that is in use")
	}
	require.NoError(t, os.Rename(folder, folder+" moved"))
	_, err = l.Check(t.Context(), false, nil)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, err = l.Reindex(t.Context(), "local", nil)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, err = os.Stat(folder)
	require.ErrorIs(t, err, os.ErrNotExist, "checking creates nothing")
}

// Check reports images that were paid for and never saved, and counts those that may have
// been paid for. An image that repair gave up is no problem any more.
func TestCheck_Unsaved(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	insert := func(state resources.State, change func(*resources.Image)) string {
		id, err := l.NewID()
		require.NoError(t, err)
		i := resources.Image{ID: id, Owner: "local", State: state, CreatedAt: time.Now(), Failure: &resources.Failure{Message: "the disk is full"}}
		if change != nil {
			change(&i)
		}
		_, err = l.Catalog().Insert(t.Context(), resources.Row{Image: i})
		require.NoError(t, err)
		return id
	}
	want := []string{insert(resources.FetchFailed, func(i *resources.Image) { i.UpstreamURL = "https://images.example/x.png" }), insert(resources.Lost, nil)}
	insert(resources.Lost, func(i *resources.Image) { i.Sandbox = true })
	insert(resources.Lost, func(i *resources.Image) { i.SHA256 = "00" })
	insert(resources.Unknown, nil)
	insert(resources.PollFailed, nil)
	insert(resources.Failed, nil)
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	assert.Equal(t, map[resources.ProblemKind][]string{resources.Unsaved: want}, found(report))
	assert.Equal(t, "the disk is full", report.Problems[1].Detail)
	assert.Equal(t, []int{0, 2}, []int{report.Working, report.Unknown})
}

// A file that was moved within the folder is one problem, not two.
func TestCheck_MovedFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	i := save(t, l, "x", []byte("x"))
	other := filepath.Join(folder, "favourites")
	require.NoError(t, os.Mkdir(other, 0o755))
	require.NoError(t, os.Rename(l.Path(i), filepath.Join(other, filepath.Base(l.Path(i)))))
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	require.Len(t, report.Problems, 1)
	assert.Equal(t, resources.Moved, report.Problems[0].Kind)
}
