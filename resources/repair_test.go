package resources_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Repair repairs each kind of problem and does not change the cost of the images.
func TestRepair(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	withLink := func(prompt string) resources.Image {
		i := reserve(t, l, prompt)
		i.State, i.UpstreamURL = resources.Answered, "https://x.example/"+prompt
		require.NoError(t, l.Record(t.Context(), i))
		i, err := l.Save(t.Context(), i, resources.Content{Reader: bytes.NewReader(tiny(t, len(prompt))), MIMEType: "image/png", Extension: ".png", Width: 4, Height: 3}, "")
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
	assert.Equal(t, []string{damaged.ID}, found(report)[resources.Damaged], "its size differs")
	report, err = l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Len(t, report.Problems, 4, "the file of an image removed just now may still exist")
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
	assert.Len(t, aside, 1, "a file that may hold an image is not deleted")
	for id, state := range map[string]resources.State{damaged.ID: resources.FetchFailed, missing.ID: resources.FetchFailed, lost.ID: resources.Lost, sound.ID: resources.Saved} {
		i, err := l.Image(t.Context(), "local", id)
		require.NoError(t, err)
		assert.Equal(t, state, i.State)
		assert.True(t, i.Charged)
		assert.Equal(t, state != resources.Saved, i.Failure != nil)
	}
	spent, err := l.Spending(t.Context(), "local", time.Time{}, time.Time{})
	require.NoError(t, err)
	assert.InDelta(t, 0.05, spent[0].CostUSD, 1e-9)
	report, err = l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Equal(t, []resources.ProblemKind{resources.Unsaved, resources.Unsaved}, []resources.ProblemKind{report.Problems[0].Kind, report.Problems[1].Kind})
	assert.Len(t, report.Problems, 2)
	list, err := l.Catalog().Claim(t.Context(), resources.Claim{Lease: resources.Lease{Process: "next", For: 2 * time.Hour}, Limit: 10})
	require.NoError(t, err)
	assert.Len(t, list, 2, "they can be downloaded again at once")
	report, err = l.Check(t.Context(), true, nil)
	require.NoError(t, err)
	assert.Equal(t, 2, report.Working)
}

// Repair does not touch files that are intact, or that it cannot read.
func TestRepair_IntactFiles(t *testing.T) {
	t.Parallel()
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
	require.NoError(t, os.WriteFile(l.Path(mended), tiny(t, 3), 0o600)) // the user restored it from a backup
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

// Missing finds a file that was moved within the folder, whether or not the image has
// a link. It does not accept a file with different bytes.
func TestMissing_MovedFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := open(t, folder)
	elsewhere := filepath.Join(folder, "favourites")
	require.NoError(t, os.MkdirAll(elsewhere, 0o755))
	for _, link := range []string{"", "https://images.example/x.png"} {
		moved, changed := reserve(t, l, "moved"), reserve(t, l, "changed")
		for _, i := range []*resources.Image{&moved, &changed} {
			i.State, i.UpstreamURL = resources.Answered, link
			saved, err := l.Save(t.Context(), *i, resources.Content{Reader: bytes.NewReader(tiny(t, 1)), MIMEType: "image/png", Extension: ".png", Width: 4, Height: 3}, "")
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

// Repair marks an image of a sandbox whose process died as failed and free of charge.
func TestRepair_SandboxEnded(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	_, err := reserveOne(l, resources.Image{Owner: "local", State: resources.Submitted, Sandbox: true, CostMicroUSD: 10_000}, 0)
	require.NoError(t, err)
	report, err := l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	require.Len(t, report.Problems, 1)
	done, err := l.Repair(t.Context(), report.Problems[0])
	require.NoError(t, err)
	assert.NotEmpty(t, done)
	report, err = l.Check(t.Context(), false, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Problems)
	assert.Zero(t, report.Unknown, "nothing was billed")
	spent, err := l.SpentToday(t.Context(), "local", true)
	require.NoError(t, err)
	assert.Zero(t, spent)
}
