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
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/bucket"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/postgres"
	"zai-image-mcp/resources/sqlite"
)

// copyImages is the number of saved images of the library that newCopySource returns.
const copyImages = 40

// Copy that was interrupted twice, anywhere, makes an equal library when it is called
// again, and then has nothing left to copy.
func TestCopy_Interrupted(t *testing.T) {
	t.Parallel()
	source := newCopySource(t).Library
	for _, stops := range [][2]int64{{0, 0}, {1, 1}, {3, 30}, {39, 0}, {20, 19}} {
		t.Run(fmt.Sprint(stops), func(t *testing.T) {
			t.Parallel()
			target := &stoppingStore{Store: localStore(t)}
			to := newCopyLibrary(t, target, localCatalog(t)).Library
			files := 0

			other := savedImages(t, source)[3]
			put(t, copyLibrary{to, target.Store}, other.Path, bytes.Repeat([]byte("x"), int(other.Bytes))) // is replaced

			full := errors.New("the disk is full")
			target.stopAfter(stops[0], func() error { return full })
			report, err := resources.Copy(t.Context(), source, to, nil)
			require.ErrorIs(t, err, full)
			savedHaveFiles(t, to)
			files += report.Files

			ctx, interrupt := context.WithCancel(t.Context())
			target.stopAfter(stops[1], func() error {
				interrupt()
				return ctx.Err()
			})
			report, err = resources.Copy(ctx, source, to, nil)
			require.ErrorIs(t, err, context.Canceled)
			savedHaveFiles(t, to)
			files += report.Files

			target.stopAfter(1000, nil)
			report, err = resources.Copy(t.Context(), source, to, nil)
			require.NoError(t, err)
			assert.Empty(t, report.Problems)
			assert.Empty(t, report.Working)
			assert.True(t, report.KeepLink)
			assert.Equal(t, copyImages, files+report.Files, "each file is copied once")
			equalLibraries(t, source, to)

			report, err = resources.Copy(t.Context(), source, to, nil)
			require.NoError(t, err)
			assert.Equal(t, resources.CopyReport{Images: report.Images, KeepLink: true, Working: []string{}, Problems: []resources.Problem{}}, report)
		})
	}
}

// A library is copied from files to PostgreSQL and S3, interrupted twice, and back to
// files.
func TestCopy_ToPostgresAndS3(t *testing.T) {
	t.Parallel()
	catalog, err := postgres.New(postgres.Options{URL: testrig.Postgres(t), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	store, err := bucket.New(bucket.Options{URL: testrig.S3(t), Now: time.Now})
	require.NoError(t, err)
	source, target := newCopySource(t).Library, &stoppingStore{Store: store}
	middle := newCopyLibrary(t, target, catalog).Library
	other := savedImages(t, source)[3]
	put(t, copyLibrary{middle, store}, other.Path, bytes.Repeat([]byte("x"), int(other.Bytes))) // is replaced
	for _, files := range []int64{5, 20} {
		ctx, interrupt := context.WithCancel(t.Context())
		target.stopAfter(files, func() error {
			interrupt()
			return ctx.Err()
		})
		_, err = resources.Copy(ctx, source, middle, nil)
		require.ErrorIs(t, err, context.Canceled)
		savedHaveFiles(t, middle)
	}
	target.stopAfter(1000, nil)
	for _, to := range [][2]*resources.Library{{source, middle}, {middle, newCopyLibrary(t, localStore(t), localCatalog(t)).Library}} {
		report, err := resources.Copy(t.Context(), to[0], to[1], nil)
		require.NoError(t, err)
		assert.Empty(t, report.Problems)
		assert.True(t, report.KeepLink)
		equalLibraries(t, to[0], to[1])
		report, err = resources.Copy(t.Context(), to[0], to[1], nil)
		require.NoError(t, err)
		assert.Equal(t, resources.CopyReport{Images: report.Images, KeepLink: true, Working: []string{}, Problems: []resources.Problem{}}, report)
	}
}

// If rows cannot be written, the next call copies neither their files again nor any row
// twice.
func TestCopy_RowsFail(t *testing.T) {
	t.Parallel()
	source := newCopySource(t).Library
	broken := errors.New("the database is away")
	catalog := &stoppingCatalog{Catalog: localCatalog(t), err: broken}
	to := newCopyLibrary(t, localStore(t), catalog).Library
	report, err := resources.Copy(t.Context(), source, to, nil)
	require.ErrorIs(t, err, broken)
	assert.Equal(t, copyImages, report.Files)
	assert.Zero(t, report.Added)
	catalog.err = nil
	report, err = resources.Copy(t.Context(), source, to, nil)
	require.NoError(t, err)
	assert.Zero(t, report.Files)
	equalLibraries(t, source, to)
}

// A download link to an image of the source is valid in the target. A target that has
// images of its own keeps its key.
func TestCopy_LinkKey(t *testing.T) {
	t.Parallel()
	source := newCopySource(t).Library
	image := savedImages(t, source)[0]
	link, _, err := resources.NewLinks(source, "", time.Hour).URL(t.Context(), image)
	require.NoError(t, err)

	to := newCopyLibrary(t, localStore(t), localCatalog(t)).Library
	_, _, err = resources.NewLinks(to, "", time.Hour).URL(t.Context(), image) // a server has made its keys
	require.NoError(t, err)
	galleryKey(t, to)
	report, err := resources.Copy(t.Context(), source, to, nil)
	require.NoError(t, err)
	assert.True(t, report.KeepLink)
	assert.Equal(t, http.StatusOK, requestLink(t, to, link))
	key := galleryKey(t, source)
	assert.Equal(t, key, galleryKey(t, to), "sessions of the gallery stay valid")

	other := newCopySource(t).Library
	report, err = resources.Copy(t.Context(), other, to, nil)
	require.NoError(t, err)
	assert.False(t, report.KeepLink)
	assert.Equal(t, http.StatusOK, requestLink(t, to, link))
	assert.Equal(t, key, galleryKey(t, to))
	assert.NotEqual(t, key, galleryKey(t, other))
}

func galleryKey(t *testing.T, l *resources.Library) []byte {
	t.Helper()
	key, err := l.GalleryKey(t.Context())
	require.NoError(t, err)
	return key
}

// Records of exports are copied; of two records of a path, the newer one stays.
func TestCopy_Exports(t *testing.T) {
	t.Parallel()
	from, to := newCopyLibrary(t, localStore(t), localCatalog(t)), newCopyLibrary(t, localStore(t), localCatalog(t))
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	record := func(path string, age time.Duration) resources.Exported {
		return resources.Exported{Path: path, ImageID: "x", Spec: "png", SHA256: age.String(), CreatedAt: at.Add(-age)}
	}
	missing, older, newer := record("/p/a.png", 0), record("/p/b.png", time.Hour), record("/p/c.png", 0)
	for _, e := range []resources.Exported{missing, older, newer} {
		require.NoError(t, from.Catalog().RecordExport(t.Context(), e))
	}
	kept := record("/p/b.png", 0)
	for _, e := range []resources.Exported{kept, record("/p/c.png", time.Hour)} {
		require.NoError(t, to.Catalog().RecordExport(t.Context(), e))
	}
	for range 2 {
		_, err := resources.Copy(t.Context(), from.Library, to.Library, nil)
		require.NoError(t, err)
		got, err := to.Catalog().ExportsAfter(t.Context(), "")
		require.NoError(t, err)
		assert.Equal(t, []resources.Exported{missing, kept, newer}, got)
	}
}

// A file of the source that is damaged or missing is reported. Its row is copied, the
// damaged file is not, and the file is copied once it is intact.
func TestCopy_DamagedFile(t *testing.T) {
	t.Parallel()
	source := newCopySource(t)
	images := savedImages(t, source.Library)
	damaged, missing, short := images[0], images[1], images[2]
	intact := content(damaged)
	put(t, source, damaged.Path, bytes.Repeat([]byte("x"), int(damaged.Bytes)))
	require.NoError(t, source.store.Delete(t.Context(), missing.Path))
	put(t, source, short.Path, []byte("x"))

	to := newCopyLibrary(t, localStore(t), localCatalog(t)).Library
	for range 2 {
		report, err := resources.Copy(t.Context(), source.Library, to, nil)
		require.NoError(t, err)
		kinds := map[string]resources.ProblemKind{}
		for _, p := range report.Problems {
			kinds[p.ID] = p.Kind
		}
		assert.Equal(t, map[string]resources.ProblemKind{damaged.ID: resources.Damaged, missing.ID: resources.Missing, short.ID: resources.Damaged}, kinds)
		check, err := to.Check(t.Context(), true, nil)
		require.NoError(t, err)
		assert.Len(t, slices.DeleteFunc(check.Problems, func(p resources.Problem) bool { return p.Kind != resources.Missing }), 3)
	}
	put(t, source, damaged.Path, intact)
	report, err := resources.Copy(t.Context(), source.Library, to, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, report.Files)
	assert.Len(t, report.Problems, 2)
}

// An image that a live process works on is left out. Rows that change after they were
// copied are brought up to date by the next call.
func TestCopy_SourceInUse(t *testing.T) {
	t.Parallel()
	source, to := newCopySource(t).Library, newCopyLibrary(t, localStore(t), localCatalog(t)).Library
	lease := resources.Lease{Process: "a server", For: time.Minute}
	outcome, err := source.Catalog().Reserve(t.Context(), resources.Reservation{
		Images: []resources.Image{{ID: newID(t, source), Owner: "alice", Model: "m", Prompt: "in progress", CostMicroUSD: 10_000}}, Count: 1, Lease: lease,
	})
	require.NoError(t, err)
	working := outcome.New[0]
	report, err := resources.Copy(t.Context(), source, to, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{working.ID}, report.Working)
	_, err = to.Catalog().Row(t.Context(), working.ID)
	require.ErrorIs(t, err, resources.ErrNotFound)

	// The image is saved, one with a failed download is saved, one is removed, and one
	// that was removed in the target stays removed.
	save := func(i resources.Image) {
		_, err := source.Save(t.Context(), i, resources.Content{Reader: bytes.NewReader(content(i)), MIMEType: "image/png", Extension: ".png"}, "")
		require.NoError(t, err)
	}
	save(working)
	save(rowIn(t, source, resources.FetchFailed).Image)
	saved := savedImages(t, source)
	removed, kept, delivered := saved[0], saved[1], saved[2]
	require.NoError(t, source.Remove(t.Context(), removed.Owner, removed.ID))
	require.NoError(t, to.Remove(t.Context(), kept.Owner, kept.ID))
	require.NoError(t, source.Catalog().EndDelivery(t.Context(), "", []string{delivered.ID}, true))
	report, err = resources.Copy(t.Context(), source, to, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Working)
	assert.Equal(t, 1, report.Added)
	assert.Equal(t, 3, report.Updated)
	assert.Equal(t, 2, report.Files)
	row, err := to.Catalog().Row(t.Context(), kept.ID)
	require.NoError(t, err)
	assert.Equal(t, resources.Removed, row.State)
	require.NoError(t, source.Remove(t.Context(), kept.Owner, kept.ID))
	equalLibraries(t, source, to)
}

// An image that is removed while it is being copied is copied as a removed one.
func TestCopy_RemovedMeanwhile(t *testing.T) {
	t.Parallel()
	source, target := newCopySource(t).Library, &stoppingStore{Store: localStore(t)}
	image := savedImages(t, source)[0]
	to := newCopyLibrary(t, target, localCatalog(t)).Library
	target.beforeStat = func(name string) {
		if name == image.Path {
			assert.NoError(t, source.Remove(t.Context(), image.Owner, image.ID))
		}
	}
	report, err := resources.Copy(t.Context(), source, to, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Problems)
	equalLibraries(t, source, to)
}

// copyLibrary is a library with its store.
type copyLibrary struct {
	*resources.Library
	store resources.Store
}

func newCopyLibrary(t *testing.T, store resources.Store, catalog resources.Catalog) copyLibrary {
	t.Helper()
	previews := folder.New(folder.Options{Dir: t.TempDir(), Now: time.Now})
	l := resources.New(resources.Options{Store: store, Previews: previews, Catalog: catalog, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return copyLibrary{l, store}
}

func localStore(t *testing.T) resources.Store {
	t.Helper()
	return folder.New(folder.Options{Dir: t.TempDir(), Now: time.Now})
}

func localCatalog(t *testing.T) resources.Catalog {
	t.Helper()
	return sqlite.New(sqlite.Options{Path: filepath.Join(t.TempDir(), "catalog.db"), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
}

// newCopySource returns a library with images in all states that no process works on.
func newCopySource(t *testing.T) copyLibrary {
	t.Helper()
	l := newCopyLibrary(t, localStore(t), localCatalog(t))
	now := time.Now().UTC().Truncate(time.Millisecond)
	for n := range copyImages {
		i := resources.Image{
			ID: newID(t, l.Library), CallID: fmt.Sprint("call ", n), Owner: []string{"alice", "bob"}[n%2], State: resources.Saved, CreatedAt: now.AddDate(0, 0, -n%3),
			Model: "cogview-4-250304", Prompt: fmt.Sprint("image ", n), Size: "512x512", CostMicroUSD: 10_000, Charged: true, MIMEType: "image/png",
			ContentFilter: []resources.ContentFilter{{Role: "user", Level: 3}}, Delivered: n%4 == 0,
		}
		sum := sha256.Sum256(content(i))
		i.Path, i.SHA256, i.Bytes = fmt.Sprintf("2026/11/28/image-%d-%s.png", n, i.ID), hex.EncodeToString(sum[:]), int64(len(content(i)))
		put(t, l, i.Path, content(i))
		insert(t, l.Library, resources.Row{Image: i, UpdatedAt: now, JoinKey: i.CallID})
	}
	for _, state := range []resources.State{resources.FetchFailed, resources.Failed, resources.Unknown, resources.Lost, resources.Removed} {
		i := resources.Image{
			ID: newID(t, l.Library), CallID: "x", Owner: "alice", State: state, CreatedAt: now, Model: "glm-image", Prompt: string(state),
			CostMicroUSD: 15_000, Charged: state != resources.Failed,
		}
		switch state { //nolint:exhaustive // the others have nothing else
		case resources.FetchFailed:
			i.UpstreamURL = "https://example.com/x.png"
		case resources.Removed:
			i.Prompt = ""
		}
		if state != resources.Removed {
			i.Failure = &resources.Failure{Kind: resources.KindDownload, Message: "It failed."}
		}
		insert(t, l.Library, resources.Row{Image: i, UpdatedAt: now, FailedAt: now})
	}
	return l
}

// content returns the bytes of an image's file.
func content(i resources.Image) []byte {
	return bytes.Repeat([]byte(i.ID), 100)
}

func newID(t *testing.T, l *resources.Library) string {
	t.Helper()
	id, err := l.NewID()
	require.NoError(t, err)
	return id
}

func put(t *testing.T, l copyLibrary, name string, b []byte) {
	t.Helper()
	_, _, err := l.store.Put(t.Context(), name, bytes.NewReader(b))
	require.NoError(t, err)
}

func insert(t *testing.T, l *resources.Library, rows ...resources.Row) {
	t.Helper()
	n, err := l.Catalog().Insert(t.Context(), rows...)
	require.NoError(t, err)
	require.Len(t, rows, n)
}

// allRows returns the rows of a library by id.
func allRows(t *testing.T, l *resources.Library) map[string]resources.Row {
	t.Helper()
	rows := map[string]resources.Row{}
	for after := ""; ; {
		page, err := l.Catalog().Scan(t.Context(), after, resources.States()...)
		require.NoError(t, err)
		if len(page) == 0 {
			return rows
		}
		for _, row := range page {
			rows[row.ID], after = row, row.ID
		}
	}
}

func savedImages(t *testing.T, l *resources.Library) (list []resources.Image) {
	t.Helper()
	rows, err := l.Catalog().Scan(t.Context(), "", resources.Saved)
	require.NoError(t, err)
	for _, row := range rows {
		list = append(list, row.Image)
	}
	return list
}

func rowIn(t *testing.T, l *resources.Library, state resources.State) resources.Row {
	t.Helper()
	rows, err := l.Catalog().Scan(t.Context(), "", state)
	require.NoError(t, err)
	require.NotEmpty(t, rows)
	return rows[0]
}

// savedHaveFiles checks that each saved row has its file.
func savedHaveFiles(t *testing.T, l *resources.Library) {
	t.Helper()
	for _, i := range savedImages(t, l) {
		_, err := l.Read(t.Context(), i)
		assert.NoError(t, err, i.ID)
	}
}

// equalLibraries checks that two libraries have the same images, files and spending.
func equalLibraries(t *testing.T, from, to *resources.Library) {
	t.Helper()
	want, got := allRows(t, from), allRows(t, to)
	require.Len(t, got, len(want))
	for id, row := range want {
		assert.Equal(t, row.Image, got[id].Image)
		assert.Equal(t, row.JoinKey, got[id].JoinKey)
		assert.WithinDuration(t, row.FailedAt, got[id].FailedAt, 0)
	}
	before, err := from.Spending(t.Context(), "", time.Time{}, time.Time{})
	require.NoError(t, err)
	after, err := to.Spending(t.Context(), "", time.Time{}, time.Time{})
	require.NoError(t, err)
	assert.NotEmpty(t, before)
	assert.Equal(t, before, after)
	report, err := to.Check(t.Context(), true, nil)
	require.NoError(t, err)
	for _, p := range report.Problems {
		assert.Equal(t, resources.Unsaved, p.Kind, "%+v", p) // as in the source
	}
	savedHaveFiles(t, to)
}

// requestLink requests a link and returns the status of the response.
func requestLink(t *testing.T, l *resources.Library, link string) int {
	t.Helper()
	response := httptest.NewRecorder()
	(&resources.Downloads{Links: resources.NewLinks(l, "", time.Hour)}).ServeHTTP(response, httptest.NewRequest(http.MethodGet, link, http.NoBody))
	return response.Code
}

// stoppingStore is a Store whose Put fails after some files.
type stoppingStore struct {
	resources.Store
	left       atomic.Int64
	stop       func() error
	beforeStat func(name string) // may be nil
}

func (s *stoppingStore) stopAfter(files int64, stop func() error) {
	s.left.Store(files)
	s.stop = stop
}

func (s *stoppingStore) Put(ctx context.Context, name string, r io.Reader) (string, int64, error) {
	if s.stop != nil && s.left.Add(-1) < 0 {
		return "", 0, s.stop()
	}
	return s.Store.Put(ctx, name, r)
}

func (s *stoppingStore) Stat(ctx context.Context, name string) (resources.FileInfo, error) {
	if s.beforeStat != nil {
		s.beforeStat(name)
	}
	return s.Store.Stat(ctx, name)
}

// stoppingCatalog is a Catalog whose Insert fails while err is set.
type stoppingCatalog struct {
	resources.Catalog
	err error
}

func (c *stoppingCatalog) Insert(ctx context.Context, rows ...resources.Row) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	return c.Catalog.Insert(ctx, rows...)
}
