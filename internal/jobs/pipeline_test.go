package jobs_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// The final state, the charge and the number of requests of each kind of
// response.
func TestStart_Outcomes(t *testing.T) {
	t.Parallel()
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
			image := r.make(t, tt.prompt)
			assert.Equal(t, tt.state, image.State)
			assert.Equal(t, tt.charged, image.Charged)
			assert.Equal(t, tt.posts, r.sandbox.Posts())
			assert.Equal(t, tt.accepted, r.sandbox.Accepted())
			if tt.kind == "" {
				require.Nil(t, image.Failure)
				_, err := r.Library.Read(t.Context(), image)
				require.NoError(t, err)
				return
			}
			require.NotNil(t, image.Failure)
			assert.EqualValues(t, tt.kind, image.Failure.Kind)
			assert.NotEmpty(t, image.Failure.Message)
			assert.NotEmpty(t, image.Failure.Hint)
		})
	}
}

// An image whose download fails stays charged and keeps its link, and can be
// fetched again free of charge.
func TestFollow_FetchesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	image := r.make(t, "sandbox:download")
	assert.Equal(t, resources.Answered, image.State)
	assert.EqualValues(t, "download", image.Failure.Kind)
	assert.True(t, image.Charged)
	assert.True(t, image.Failure.Retryable)
	assert.Contains(t, image.Failure.Hint, image.ID)
	assert.Contains(t, image.Failure.Hint, image.UpstreamURL)
	for _, early := range []bool{false, true} { // only early recovery ignores the time of the next attempt
		list, err := r.Recover(t.Context(), early)
		require.NoError(t, err)
		assert.Equal(t, early, len(list) == 1)
		for _, j := range list {
			<-j.Done()
		}
	}
	image.UpstreamURL = r.make(t, "a fox").UpstreamURL // a link that works
	require.NoError(t, r.Library.Record(t.Context(), image))
	j, err := r.Follow(t.Context(), image, nil)
	require.NoError(t, err)
	<-j.Done()
	assert.Equal(t, resources.Saved, j.Image().State)
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// Callers that want the same lost image share one job, even if they read the
// image before it was saved.
func TestFollow_OneJobPerImage(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	good := r.make(t, "a fox").UpstreamURL
	for round := range 5 {
		lost := r.abandoned(t, resources.Image{State: resources.Answered, Prompt: "x", UpstreamURL: good, Failure: &resources.Failure{Kind: "download"}})
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
		assert.Equal(t, resources.Saved, j.Image().State, "a saved image stays saved")
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

// An image cannot be removed while it is being made.
func TestRemove_WhileWorking(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		j, err := r.start(t.Context(), order("sandbox:delay=200ms"), nil)
		require.NoError(t, err)
		require.ErrorIs(t, r.Library.Remove(t.Context(), "local", j.ID()), resources.ErrWorking)
		<-j.Done()
		require.NoError(t, r.Library.Remove(t.Context(), "local", j.ID()))
		files, err := filepath.Glob(filepath.Join(r.folder, "*", "*", "*", "*.png"))
		require.NoError(t, err)
		assert.Empty(t, files)
	})
}

// Each step is recorded before the request that it announces.
func TestStart_RecordsBeforeRequests(t *testing.T) {
	t.Parallel()
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

// A call that is abandoned before its request is sent is free.
func TestAbandon_BeforeSend(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		for range 20 {
			j, err := r.start(t.Context(), order("sandbox:upstream"), func(s jobs.Stage) {
				if s.Phase == jobs.PhaseQueued {
					time.Sleep(2 * time.Millisecond) // lets the caller abandon it first
				}
			})
			require.NoError(t, err)
			j.Abandon()
			<-j.Done()
			assert.EqualValues(t, "cancelled", j.Image().Failure.Kind)
			assert.False(t, j.Image().Charged)
		}
		assert.Zero(t, r.sandbox.Posts())
	})
}

// breakFolder returns a watch function that makes an image impossible to save
// once it is paid for, by putting a file in the place of the year's folder, and
// a function that repairs that.
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
	t.Parallel()
	r := newRig(t, nil)
	watch, _ := r.breakFolder(t)
	j, err := r.start(t.Context(), order("sandbox:b64"), watch)
	require.NoError(t, err)
	<-j.Done()
	image := j.Image()
	assert.EqualValues(t, "storage", image.Failure.Kind)
	assert.False(t, image.Failure.Retryable)
	assert.NotContains(t, image.Failure.Hint, "get_image", "which would not help")
	assert.Contains(t, image.Failure.Message, r.folder, "the folder is named")
	unsaved, err := r.Library.Unsaved(t.Context(), "local", 10)
	require.NoError(t, err)
	assert.Len(t, unsaved, 1)
	list, err := r.Recover(t.Context(), true)
	require.NoError(t, err)
	assert.Empty(t, list, "it cannot be fetched, so its failure stays")
}

func TestFetch_FolderBreaksAfterPayment(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	watch, mend := r.breakFolder(t)
	first, err := r.start(t.Context(), order("a fox"), watch)
	require.NoError(t, err)
	<-first.Done()
	image := first.Image()
	assert.Equal(t, resources.Answered, image.State)
	assert.EqualValues(t, "storage", image.Failure.Kind)
	assert.Contains(t, image.Failure.Hint, image.UpstreamURL)
	assert.True(t, image.Charged)
	mend()
	j, err := r.Follow(t.Context(), image, nil)
	require.NoError(t, err)
	<-j.Done()
	assert.Equal(t, resources.Saved, j.Image().State)
	assert.EqualValues(t, 1, r.sandbox.Accepted())
}

func TestStart_CatalogUnusable(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	require.NoError(t, os.WriteFile(filepath.Join(r.folder, ".catalog.db"), []byte("this is no database, but long enough to be read as one"), 0o600))
	_, err := r.start(t.Context(), order("a fox"), nil)
	require.ErrorIs(t, err, resources.ErrStorage)
	assert.Zero(t, r.sandbox.Posts())
	assert.EqualValues(t, "storage", jobs.Describe(err).Kind)
}

func TestStart_Budget(t *testing.T) {
	t.Parallel()
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

func TestStart_NoKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jobs.Config) { c.Client = nil })
	_, err := r.start(t.Context(), order("a fox"), nil)
	require.ErrorIs(t, err, jobs.ErrNoKey)
	f := jobs.Describe(err)
	assert.EqualValues(t, "no_api_key", f.Kind)
	assert.Contains(t, f.Hint, "ZAI_API_KEY")
	_, err = r.Follow(t.Context(), resources.Image{State: resources.Answered, UpstreamURL: "https://x.example/a.png", Failure: &resources.Failure{}}, nil)
	require.ErrorIs(t, err, jobs.ErrNoKey)
}

// At most MaxConcurrent requests are in flight; the rest wait in order, and one
// that is abandoned while it waits is neither sent nor charged.
func TestQueue_Order(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		first, err := r.start(t.Context(), order("first sandbox:delay=300ms"), nil)
		require.NoError(t, err)
		var mu sync.Mutex
		var started []string
		var waiting []*jobs.Job
		for n := range 4 {
			j, err := r.start(t.Context(), order(fmt.Sprintf("waiting %d", n)), func(s jobs.Stage) {
				if s.Phase == jobs.PhaseGenerating {
					mu.Lock()
					started = append(started, s.ID)
					mu.Unlock()
				}
			})
			require.NoError(t, err)
			assert.Equal(t, resources.Queued, j.Image().State)
			waiting = append(waiting, j)
			time.Sleep(5 * time.Millisecond) // lets it enter the queue
		}
		waiting[1].Abandon()
		<-waiting[1].Done()
		given := waiting[1].Image()
		assert.Equal(t, resources.Failed, given.State)
		assert.EqualValues(t, "cancelled", given.Failure.Kind)
		assert.False(t, given.Charged)
		first.Abandon() // too late: its request was sent
		for _, j := range []*jobs.Job{first, waiting[0], waiting[2], waiting[3]} {
			<-j.Done()
			assert.Equal(t, resources.Saved, j.Image().State)
		}
		assert.Equal(t, []string{waiting[0].ID(), waiting[2].ID(), waiting[3].ID()}, started)
		assert.EqualValues(t, 4, r.sandbox.Posts())
	})
}

// The image is saved even if the caller's context ends.
func TestStart_ContextEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		j, err := r.start(ctx, order("sandbox:delay=100ms"), nil)
		require.NoError(t, err)
		cancel()
		<-j.Done()
		assert.Equal(t, resources.Saved, j.Image().State)
	})
}

func TestStart_Stages(t *testing.T) {
	t.Parallel()
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

func TestDrain_FinishesSentRequests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var saved []string
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 2 }, func(t *testing.T, r *rig) {
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
		assert.Len(t, saved, 2, "images whose requests were sent are finished")
		assert.Equal(t, resources.Failed, list[2].Image().State, "an image whose request was not sent is abandoned")
		_, err := r.start(t.Context(), order("late"), nil)
		require.ErrorIs(t, err, jobs.ErrClosing)
		assert.EqualValues(t, 2, r.sandbox.Accepted())
	})
}

func TestDrain_CutsOff(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		j, err := r.start(t.Context(), order("sandbox:delay=1500ms"), nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, 5*time.Second, time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		require.Error(t, r.Drain(ctx))
		assert.Equal(t, resources.Unknown, j.Image().State, "it may have been billed")
		assert.True(t, j.Image().Charged)
	})
}

func TestRun_Panic(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	j, err := r.start(t.Context(), order("a fox"), func(s jobs.Stage) {
		if s.Phase == jobs.PhaseDownloading {
			panic("secret")
		}
	})
	require.NoError(t, err)
	<-j.Done()
	image := j.Image()
	assert.EqualValues(t, "internal", image.Failure.Kind)
	assert.NotContains(t, image.Failure.Message+image.Failure.Hint, "secret")
	assert.True(t, image.Charged)
	assert.Equal(t, resources.Saved, r.make(t, "the next").State)
}
