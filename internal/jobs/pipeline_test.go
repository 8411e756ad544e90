package jobs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// rig is a pipeline over a real library and a sandbox.
type rig struct {
	*jobs.Pipeline
	sandbox *sandbox.Sandbox
	folder  string

	mu   sync.Mutex
	seen []zai.Attempt
}

func (r *rig) observe(a zai.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, a)
}

func (r *rig) attempts() []zai.Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func newRig(t *testing.T, change func(*jobs.Config)) *rig {
	t.Helper()
	r := &rig{sandbox: sandbox.New(sandbox.Options{MaxConcurrent: sandbox.Unlimited}), folder: t.TempDir()}
	server := httptest.NewServer(r.sandbox)
	t.Cleanup(server.Close)
	client, err := zai.NewClient("key", zai.WithBaseURL(server.URL+sandbox.BasePath), zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 }),
		zai.WithObserver(r.observe))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	library := resources.New(resources.Options{Folder: r.folder, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, library.Close()) })
	config := jobs.Config{Client: client, Library: library, Process: rand.Text(), MaxConcurrent: 5, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&config)
	}
	r.Pipeline = jobs.New(config)
	t.Cleanup(func() { _ = r.Drain(context.Background()) })
	return r
}

func order(prompt string) jobs.Request {
	return jobs.Request{Owner: "local", Model: "cogview-4-250304", Prompt: prompt, Size: "512x512", Quality: "standard", PriceUSD: 0.01}
}

// start makes a call of one image.
func (r *rig) start(ctx context.Context, request jobs.Request, watch func(jobs.Stage)) (*jobs.Job, error) {
	call, err := r.Start(ctx, request, watch)
	if err != nil {
		return nil, err
	}
	return call.Jobs[0], nil
}

// make makes an image and gives it to the caller.
func (r *rig) make(t *testing.T, prompt string) resources.Image {
	t.Helper()
	j, err := r.start(t.Context(), order(prompt), nil)
	require.NoError(t, err)
	<-j.Done()
	row, err := r.Library.Image(t.Context(), "local", j.ID())
	require.NoError(t, err)
	require.Equal(t, j.Image(), row, "job and catalog agree")
	r.deliver(t, row.ID)
	return row
}

func (r *rig) deliver(t *testing.T, ids ...string) {
	t.Helper()
	d := r.NewDelivery()
	d.Begin(ids...)
	d.Confirm(t.Context())
}

// left writes a row as a process that died left it.
func (r *rig) left(t *testing.T, row resources.Image) resources.Image {
	t.Helper()
	if row.Owner == "" {
		row.Owner = "local"
	}
	reserved, err := r.Library.Reserve(t.Context(), resources.Reservation{Images: []resources.Image{row}, Count: 1})
	require.NoError(t, err)
	kept := reserved.New[0]
	require.NoError(t, r.Library.Record(t.Context(), kept))
	return kept
}

// What became of an image, its money and its requests, for each way it can go.
func TestOutcomes(t *testing.T) {
	tests := []struct {
		prompt          string
		state           resources.State
		kind            string
		charged         bool
		posts, accepted int64
	}{
		{"a fox", resources.Saved, "", true, 1, 1},
		{"sandbox:b64", resources.Saved, "", true, 1, 1},
		{"sandbox:jpeg", resources.Saved, "", true, 1, 1},
		{"sandbox:truncated", resources.Saved, "", true, 1, 1},
		{"sandbox:filtered", resources.Saved, "", true, 1, 1},
		{"sandbox:too_frequent*2", resources.Saved, "", true, 3, 1},
		{"sandbox:unauthorized", resources.Failed, "unauthorized", false, 1, 0},
		{"sandbox:wrong_region", resources.Failed, "wrong_region", false, 1, 0},
		{"sandbox:no_balance", resources.Failed, "no_balance", false, 1, 0},
		{"sandbox:too_frequent", resources.Failed, "rate_limited", false, 4, 0},
		{"sandbox:quota", resources.Failed, "quota", false, 1, 0},
		{"sandbox:content_blocked", resources.Failed, "content_blocked", false, 1, 0},
		{"sandbox:invalid_argument", resources.Failed, "invalid_argument", false, 1, 0},
		{"sandbox:upstream", resources.Failed, "upstream", false, 4, 0},
		{"sandbox:outcome_unknown", resources.Unknown, "outcome_unknown", true, 1, 1},
		{"sandbox:hangup", resources.Unknown, "outcome_unknown", true, 1, 1},
		{"sandbox:no_picture", resources.Unknown, "outcome_unknown", true, 1, 1},
		{"sandbox:broken_json", resources.Unknown, "outcome_unknown", true, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.prompt, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			row := r.make(t, tt.prompt)
			assert.Equal(t, tt.state, row.State)
			assert.Equal(t, tt.charged, row.Charged)
			assert.Equal(t, tt.posts, r.sandbox.Posts())
			assert.Equal(t, tt.accepted, r.sandbox.Accepted())
			if tt.kind == "" {
				require.Nil(t, row.Failure)
				_, err := r.Library.Read(t.Context(), row)
				require.NoError(t, err)
				return
			}
			require.NotNil(t, row.Failure)
			assert.EqualValues(t, tt.kind, row.Failure.Kind)
			assert.NotEmpty(t, row.Failure.Message)
			assert.NotEmpty(t, row.Failure.Hint)
		})
	}
}

// An image that cannot be fetched is paid for: it stays charged, its link is
// kept, and it can be fetched again without paying.
func TestRefetch(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	row := r.make(t, "sandbox:download")
	assert.Equal(t, resources.Answered, row.State)
	assert.EqualValues(t, "download", row.Failure.Kind)
	assert.True(t, row.Charged)
	assert.True(t, row.Failure.Retryable)
	assert.Contains(t, row.Failure.Hint, row.ID)
	assert.Contains(t, row.Failure.Hint, row.UpstreamURL)
	for _, early := range []bool{false, true} { // not before its time, unless somebody asks for it
		list, err := r.Recover(t.Context(), early)
		require.NoError(t, err)
		assert.Equal(t, early, len(list) == 1)
		for _, j := range list {
			<-j.Done()
		}
	}
	row.UpstreamURL = r.make(t, "a fox").UpstreamURL // the link that works now
	require.NoError(t, r.Library.Record(t.Context(), row))
	j, err := r.Follow(t.Context(), row, nil)
	require.NoError(t, err)
	<-j.Done()
	assert.Equal(t, resources.Saved, j.Image().State)
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// Several callers want the same lost image, and some read its row too early.
func TestRefetchIsOneJob(t *testing.T) {
	r := newRig(t, nil)
	good := r.make(t, "a fox").UpstreamURL
	for round := range 10 {
		lost := r.left(t, resources.Image{State: resources.Answered, Prompt: "x", UpstreamURL: good, Failure: &resources.Failure{Kind: "download"}})
		var all sync.WaitGroup
		var mu sync.Mutex
		seen := map[*jobs.Job]bool{}
		together := make(chan struct{})
		for range 8 {
			all.Go(func() {
				<-together
				j, err := r.Follow(t.Context(), lost, nil)
				if assert.NoError(t, err) {
					mu.Lock()
					seen[j] = true
					mu.Unlock()
					<-j.Done()
					assert.Equal(t, resources.Saved, j.Image().State)
				}
			})
		}
		close(together)
		all.Wait()
		stale := lost
		stale.UpstreamURL = "https://127.0.0.1/gone.png"
		j, err := r.Follow(t.Context(), stale, nil)
		require.NoError(t, err)
		<-j.Done()
		assert.Equal(t, resources.Saved, j.Image().State, "an image that is saved stays saved")
		now, err := r.Library.Image(t.Context(), "local", lost.ID)
		require.NoError(t, err)
		assert.Equal(t, resources.Saved, now.State)
		downloads := 0
		for _, a := range r.attempts() {
			if a.Operation == zai.OperationDownload {
				downloads++
			}
		}
		assert.Equal(t, round+2, downloads, "one for each lost image")
	}
}

// Neither its money nor its file can be told while an image is being made.
func TestAPictureAtWorkIsNotRemoved(t *testing.T) {
	r := newRig(t, nil)
	j, err := r.start(t.Context(), order("sandbox:delay=200ms"), nil)
	require.NoError(t, err)
	require.ErrorIs(t, r.Library.Remove(t.Context(), "local", j.ID()), resources.ErrWorking)
	<-j.Done()
	require.NoError(t, r.Library.Remove(t.Context(), "local", j.ID()))
	files, err := filepath.Glob(filepath.Join(r.folder, "*", "*", "*", "*.png"))
	require.NoError(t, err)
	assert.Empty(t, files)
}

// The row says what is about to be done, durably, before it is done.
func TestTheRowIsAheadOfTheWork(t *testing.T) {
	var db *sql.DB
	var mu sync.Mutex
	states := map[string][]string{}
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent = 1 })
	look := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		assert.NoError(t, err)
		q.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		rows, err := db.Query(`SELECT prompt, state, upstream_url <> '' FROM images`)
		if assert.NoError(t, err) {
			for rows.Next() {
				var prompt, state string
				var hasLink bool
				assert.NoError(t, rows.Scan(&prompt, &state, &hasLink))
				if q.Method == http.MethodGet || strings.Contains(string(body), fmt.Sprintf("%q", prompt)) {
					states[prompt] = append(states[prompt], fmt.Sprint(q.Method, " ", state, " ", hasLink))
				}
			}
			assert.NoError(t, rows.Close())
		}
		mu.Unlock()
		r.sandbox.ServeHTTP(w, q)
	})
	api := httptest.NewServer(look)
	defer api.Close()
	client, err := zai.NewClient("key", zai.WithBaseURL(api.URL+sandbox.BasePath))
	require.NoError(t, err)
	defer client.Close()
	r.Client = client
	require.NoError(t, r.Library.Ready(t.Context()))
	db, err = sql.Open("sqlite", filepath.Join(r.folder, ".catalog.db"))
	require.NoError(t, err)
	defer db.Close()
	first, err := r.start(t.Context(), order("first"), nil)
	require.NoError(t, err)
	<-first.Done()
	assert.Equal(t, []string{"POST submitted false", "GET answered true"}, states["first"])
	slow, err := r.start(t.Context(), order("slow sandbox:delay=100ms"), nil)
	require.NoError(t, err)
	queued, err := r.start(t.Context(), order("queued"), nil)
	require.NoError(t, err)
	waiting := queued.Image()
	<-slow.Done()
	<-queued.Done()
	assert.Equal(t, resources.Queued, waiting.State)
	assert.Contains(t, states["queued"], "POST submitted false")
	assert.NotContains(t, states["queued"], "POST queued false")
	assert.Contains(t, states["queued"], "GET answered true")
}

// Up to the last moment a call can be given up for nothing.
func TestAbandonedAtOnce(t *testing.T) {
	r := newRig(t, nil)
	for range 20 {
		j, err := r.start(t.Context(), order("sandbox:upstream"), func(s jobs.Stage) {
			if s.Phase == jobs.PhaseQueued {
				time.Sleep(2 * time.Millisecond) // the caller is quicker
			}
		})
		require.NoError(t, err)
		j.Abandon()
		<-j.Done()
		assert.EqualValues(t, "cancelled", j.Image().Failure.Kind)
		assert.False(t, j.Image().Charged)
	}
	assert.Zero(t, r.sandbox.Posts())
}

// breakFolder makes an image impossible to save once it is paid for: a file
// takes the place of the year's folder. It returns how to mend that.
func (r *rig) breakFolder(t *testing.T) (watch func(jobs.Stage), mend func()) {
	t.Helper()
	year := filepath.Join(r.folder, time.Now().UTC().Format("2006"))
	watch = func(s jobs.Stage) {
		if s.Phase == jobs.PhaseDownloading {
			assert.NoError(t, os.RemoveAll(year))
			assert.NoError(t, os.WriteFile(year, nil, 0o600))
		}
	}
	return watch, func() { require.NoError(t, os.Remove(year)) }
}

func TestFetch_InlineImageNotSaved(t *testing.T) {
	r := newRig(t, nil)
	watch, _ := r.breakFolder(t)
	j, err := r.start(t.Context(), order("sandbox:b64"), watch)
	require.NoError(t, err)
	<-j.Done()
	row := j.Image()
	assert.EqualValues(t, "storage", row.Failure.Kind)
	assert.False(t, row.Failure.Retryable)
	assert.NotContains(t, row.Failure.Hint, "get_image", "that would not help")
	assert.Contains(t, row.Failure.Message, r.folder, "the folder is named")
	unsaved, err := r.Library.Unsaved(t.Context(), "local", 10)
	require.NoError(t, err)
	assert.Len(t, unsaved, 1)
	list, err := r.Recover(t.Context(), true)
	require.NoError(t, err)
	assert.Empty(t, list, "nothing can fetch it, so its failure stays as it is")
}

func TestFetch_FolderBreaksAfterPayment(t *testing.T) {
	r := newRig(t, nil)
	watch, mend := r.breakFolder(t)
	first, err := r.start(t.Context(), order("a fox"), watch)
	require.NoError(t, err)
	<-first.Done()
	row := first.Image()
	assert.Equal(t, resources.Answered, row.State)
	assert.EqualValues(t, "storage", row.Failure.Kind)
	assert.Contains(t, row.Failure.Hint, row.UpstreamURL)
	assert.True(t, row.Charged)
	mend()
	j, err := r.Follow(t.Context(), row, nil)
	require.NoError(t, err)
	<-j.Done()
	assert.Equal(t, resources.Saved, j.Image().State)
	assert.EqualValues(t, 1, r.sandbox.Accepted())
}

func TestNothingIsSentWithoutARow(t *testing.T) {
	r := newRig(t, nil)
	require.NoError(t, os.WriteFile(filepath.Join(r.folder, ".catalog.db"), []byte("this is no database, but long enough to be read as one"), 0o600))
	_, err := r.start(t.Context(), order("a fox"), nil)
	require.ErrorIs(t, err, resources.ErrStorage)
	assert.Zero(t, r.sandbox.Posts())
	assert.EqualValues(t, "storage", jobs.Describe(err).Kind)
}

func TestBudgetStopsBeforeThePost(t *testing.T) {
	r := newRig(t, func(c *jobs.Config) { c.BudgetUSD = 0.02 })
	r.make(t, "one")
	r.make(t, "sandbox:no_balance") // costs nothing
	r.make(t, "two")
	_, err := r.start(t.Context(), order("three"), nil)
	var budget *jobs.BudgetError
	require.ErrorAs(t, err, &budget)
	f := jobs.Describe(err)
	assert.EqualValues(t, "budget_exceeded", f.Kind)
	assert.Contains(t, f.Message, "$0.020 of $0.02")
	assert.Contains(t, f.Hint, "--daily-budget")
	assert.Contains(t, f.Hint, "T00:00:00Z")
	assert.EqualValues(t, 2, r.sandbox.Accepted())
}

func TestNoKey(t *testing.T) {
	r := newRig(t, func(c *jobs.Config) { c.Client = nil })
	_, err := r.start(t.Context(), order("a fox"), nil)
	require.ErrorIs(t, err, jobs.ErrNoKey)
	f := jobs.Describe(err)
	assert.EqualValues(t, "no_api_key", f.Kind)
	assert.Contains(t, f.Hint, "ZAI_API_KEY")
	_, err = r.Follow(t.Context(), resources.Image{State: resources.Answered, UpstreamURL: "https://x.example/a.png", Failure: &resources.Failure{}}, nil)
	require.ErrorIs(t, err, jobs.ErrNoKey)
}

// At most MaxConcurrent requests are under way; others wait in their order,
// and one that is given up while it waits is neither sent nor charged.
func TestQueue(t *testing.T) {
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent = 1 })
	first, err := r.start(t.Context(), order("first sandbox:delay=300ms"), nil)
	require.NoError(t, err)
	var mu sync.Mutex
	var begun []string
	var waiting []*jobs.Job
	for n := range 4 {
		j, err := r.start(t.Context(), order(fmt.Sprintf("waiting %d", n)), func(s jobs.Stage) {
			if s.Phase == jobs.PhaseGenerating {
				mu.Lock()
				begun = append(begun, s.ID)
				mu.Unlock()
			}
		})
		require.NoError(t, err)
		assert.Equal(t, resources.Queued, j.Image().State)
		waiting = append(waiting, j)
		time.Sleep(5 * time.Millisecond) // lets it take its place
	}
	waiting[1].Abandon()
	<-waiting[1].Done()
	given := waiting[1].Image()
	assert.Equal(t, resources.Failed, given.State)
	assert.EqualValues(t, "cancelled", given.Failure.Kind)
	assert.False(t, given.Charged)
	first.Abandon() // too late: it is paid for
	for _, j := range []*jobs.Job{first, waiting[0], waiting[2], waiting[3]} {
		<-j.Done()
		assert.Equal(t, resources.Saved, j.Image().State)
	}
	assert.Equal(t, []string{waiting[0].ID(), waiting[2].ID(), waiting[3].ID()}, begun)
	assert.EqualValues(t, 4, r.sandbox.Posts())
}

// The caller's context ends, its image is brought home all the same.
func TestCallerLeaves(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	j, err := r.start(ctx, order("sandbox:delay=100ms"), nil)
	require.NoError(t, err)
	cancel()
	<-j.Done()
	assert.Equal(t, resources.Saved, j.Image().State)
}

func TestStages(t *testing.T) {
	r := newRig(t, nil)
	var mu sync.Mutex
	var phases []jobs.Phase
	j, err := r.start(t.Context(), order("a fox"), func(s jobs.Stage) {
		mu.Lock()
		defer mu.Unlock()
		phases = append(phases, s.Phase)
	})
	require.NoError(t, err)
	<-j.Done()
	assert.Equal(t, []jobs.Phase{jobs.PhaseQueued, jobs.PhaseGenerating, jobs.PhaseDownloading, jobs.PhaseDone}, phases)
}

func TestDrain(t *testing.T) {
	var mu sync.Mutex
	var saved []string
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent = 2 })
	r.Subscribe(func(e jobs.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Image.State == resources.Saved {
			saved = append(saved, e.Image.ID)
		}
	})
	var list []*jobs.Job
	for n := range 3 {
		j, err := r.start(t.Context(), order(fmt.Sprintf("sandbox:delay=200ms %d", n)), nil)
		require.NoError(t, err)
		list = append(list, j)
	}
	require.Eventually(t, func() bool { return r.sandbox.Posts() == 2 }, 5*time.Second, time.Millisecond)
	require.NoError(t, r.Drain(t.Context()))
	assert.Len(t, saved, 2, "what was sent is finished")
	assert.Equal(t, resources.Failed, list[2].Image().State, "what was not sent is given up")
	_, err := r.start(t.Context(), order("late"), nil)
	require.ErrorIs(t, err, jobs.ErrClosing)
	assert.EqualValues(t, 2, r.sandbox.Accepted())
}

func TestDrainCutsOff(t *testing.T) {
	r := newRig(t, nil)
	j, err := r.start(t.Context(), order("sandbox:delay=1500ms"), nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.Error(t, r.Drain(ctx))
	assert.Equal(t, resources.Unknown, j.Image().State, "it may have been billed")
	assert.True(t, j.Image().Charged)
}

func TestAPanicStaysInItsJob(t *testing.T) {
	r := newRig(t, nil)
	j, err := r.start(t.Context(), order("a fox"), func(s jobs.Stage) {
		if s.Phase == jobs.PhaseDownloading {
			panic("secret")
		}
	})
	require.NoError(t, err)
	<-j.Done()
	row := j.Image()
	assert.EqualValues(t, "internal", row.Failure.Kind)
	assert.NotContains(t, row.Failure.Message+row.Failure.Hint, "secret")
	assert.True(t, row.Charged)
	assert.Equal(t, resources.Saved, r.make(t, "the next").State)
}
