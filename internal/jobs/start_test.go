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
	"zai-image-mcp/internal/testrig"
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

// Each step is recorded before the request that it allows.
func TestStart_RecordsBeforeRequests(t *testing.T) {
	t.Parallel()
	var db *sql.DB
	var mu sync.Mutex
	states := map[string][]string{}
	reserved := make(chan struct{}) // closed when the call after the slow one is in the catalog
	r := newRig(t, func(c *jobs.Config) { c.MaxConcurrent = 1 })
	observe := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
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
		if q.Method == http.MethodPost && strings.Contains(string(body), `"slow"`) {
			<-reserved
		}
		r.sandbox.ServeHTTP(w, q)
	})
	api := httptest.NewServer(observe)
	defer api.Close()
	client, err := zai.NewClient("key", zai.WithBaseURL(api.URL+sandbox.BasePath))
	require.NoError(t, err)
	defer client.Close()
	r.Client = client
	require.NoError(t, r.Library.Ready(t.Context()))
	db = testrig.SQL(t, r.folder)
	first, err := r.start(t.Context(), order("first"), nil)
	require.NoError(t, err)
	<-first.Done()
	assert.Equal(t, []string{"POST submitted false", "GET answered true"}, states["first"])
	slow, err := r.start(t.Context(), order("slow"), nil)
	require.NoError(t, err)
	queued, err := r.start(t.Context(), order("queued"), nil)
	require.NoError(t, err)
	waiting := queued.Image()
	close(reserved)
	<-slow.Done()
	<-queued.Done()
	assert.Equal(t, resources.Queued, waiting.State)
	assert.Contains(t, states["queued"], "POST submitted false")
	assert.NotContains(t, states["queued"], "POST queued false")
	assert.Contains(t, states["queued"], "GET answered true")
}

// No request is sent while the catalog cannot be used.
func TestStart_CatalogUnusable(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "it damages the catalog's file")
	r := newRig(t, nil)
	require.NoError(t, os.WriteFile(filepath.Join(r.folder, ".catalog.db"), []byte("this is no database, but long enough to be read as one"), 0o600))
	_, err := r.start(t.Context(), order("a fox"), nil)
	require.ErrorIs(t, err, resources.ErrStorage)
	assert.Zero(t, r.sandbox.Posts())
	assert.EqualValues(t, "storage", jobs.Describe(err).Kind)
}

// Failed images do not count towards the budget.
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
	_, err = r.Follow(t.Context(), resources.Image{State: resources.FetchFailed, UpstreamURL: "https://x.example/a.png", Failure: &resources.Failure{}}, nil)
	require.ErrorIs(t, err, jobs.ErrNoKey)
}

// The image is saved even if the context of its call ends.
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

// The final state, the charge and the number of requests of images that are
// generated as tasks, also if the asynchronous endpoint does not exist or loses
// the task.
func TestStart_Tasks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		state           resources.State
		posts, accepted int64
		charged         bool
	}{
		"a poster":                {resources.Saved, 1, 1, true},
		"sandbox:delay=50ms":      {resources.Saved, 1, 1, true},
		"sandbox:no_async":        {resources.Saved, 2, 1, true},
		"sandbox:too_frequent*2":  {resources.Saved, 3, 1, true},
		"sandbox:content_blocked": {resources.Failed, 1, 0, false},
		"sandbox:outcome_unknown": {resources.Unknown, 1, 1, true},
		"sandbox:hangup":          {resources.Unknown, 1, 1, true},
		"sandbox:task_failed":     {resources.Failed, 1, 1, false},
		"sandbox:task_gone":       {resources.PollFailed, 1, 1, true},
	}
	for prompt, tt := range tests {
		t.Run(prompt, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			call, err := r.Start(t.Context(), poster(prompt), nil)
			require.NoError(t, err)
			<-call.Jobs[0].Done()
			image := r.image(t, ids(call)[0])
			assert.Equal(t, tt.state, image.State)
			assert.Equal(t, tt.charged, image.Charged)
			assert.Equal(t, tt.posts, r.sandbox.Posts())
			assert.Equal(t, tt.accepted, r.sandbox.Accepted())
			if prompt == "sandbox:task_gone" {
				polls := len(r.attempts())
				j, err := r.Follow(t.Context(), image, nil)
				require.NoError(t, err)
				<-j.Done()
				assert.Greater(t, len(r.attempts()), polls, "the task is polled again")
				assert.EqualValues(t, 1, r.sandbox.Posts())
			}
		})
	}
}

// No request is sent while images cannot be saved.
func TestStart_FolderUnusable(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "it changes the folder")
	today := func() string { return time.Now().UTC().Format("2006/01/02") }
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, folder string)
		named func(folder string) string // in the message
	}{
		"deleted": {
			func(t *testing.T, folder string) { require.NoError(t, os.RemoveAll(folder)) },
			func(folder string) string { return folder },
		},
		"moved": {
			func(t *testing.T, folder string) { require.NoError(t, os.Rename(folder, t.TempDir()+"/trash")) },
			func(folder string) string { return folder },
		},
		"year is a link": {
			func(t *testing.T, folder string) {
				year := filepath.Join(folder, time.Now().UTC().Format("2006"))
				moved := filepath.Join(t.TempDir(), "2006")
				require.NoError(t, os.Rename(year, moved))
				require.NoError(t, os.Symlink(moved, year))
			},
			func(folder string) string { return filepath.Join(folder, today()) },
		},
		"day is a file": {
			func(t *testing.T, folder string) {
				day := filepath.Join(folder, today())
				require.NoError(t, os.RemoveAll(day))
				require.NoError(t, os.WriteFile(day, nil, 0o600))
			},
			func(folder string) string { return filepath.Join(folder, today()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.make(t, "before")
			posts := r.sandbox.Posts()
			tt.spoil(t, r.folder)
			for range 3 {
				_, err := r.Start(t.Context(), order("after"), nil)
				require.ErrorIs(t, err, resources.ErrStorage)
				failure := jobs.Describe(err)
				assert.EqualValues(t, "storage", failure.Kind)
				assert.Contains(t, failure.Message, tt.named(r.folder))
			}
			assert.Equal(t, posts, r.sandbox.Posts(), "nothing is sent")
		})
	}
}

// The folders in the library's folder may be deleted at any time.
func TestStart_DayFolderDeleted(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "it changes the folder")
	r := newRig(t, nil)
	r.make(t, "first")
	require.NoError(t, os.RemoveAll(filepath.Join(r.folder, time.Now().UTC().Format("2006"))))
	assert.Equal(t, resources.Saved, r.make(t, "second").State)
}
