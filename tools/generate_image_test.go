package tools_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
)

func TestGenerate_Result(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	result, s := r.call(t, "generate_image", `{"prompt":"a fox sandbox:filtered","size":"512x640"}`)
	require.False(t, result.IsError, text(t, result))
	require.Len(t, s.Images, 1)
	i := s.Images[0]
	assert.Equal(t, resources.StatusSaved, i.Status)
	assert.Equal(t, "zai-image://images/"+i.ID, i.URI)
	assert.Equal(t, i.URI+"/preview", i.PreviewURI)
	assert.Equal(t, "image/png", i.MIMEType)
	assert.Equal(t, [2]int{512, 640}, [2]int{i.Width, i.Height})
	assert.Equal(t, "cogview-4-250304", i.Model)
	assert.Equal(t, "standard", i.Quality)
	assert.InDelta(t, 0.01, i.CostUSD, 1e-9)
	assert.InDelta(t, 0.01, s.SpentTodayUSD, 1e-9)
	assert.Equal(t, []resources.ContentFilter{{Role: "assistant", Level: 3}}, i.ContentFilter)
	assert.True(t, *s.Sandbox)
	assert.NotEmpty(t, i.RequestID)
	saved, err := r.library.Image(t.Context(), "local", i.ID)
	require.NoError(t, err)
	file, err := r.library.Read(t.Context(), saved)
	require.NoError(t, err)
	assert.Len(t, file, int(i.Bytes))
	assert.Equal(t, r.library.Path(saved), i.Path)

	require.Len(t, result.Content, 3)
	words := text(t, result)
	for _, part := range []string{i.ID, i.Path, i.URI, "512x640", "$0.010", "sandbox", "content filter"} {
		assert.Contains(t, words, part)
	}
	preview, ok := result.Content[1].(mcp.ImageContent)
	require.True(t, ok)
	assert.Equal(t, "image/jpeg", preview.MIMEType)
	assert.LessOrEqual(t, len(preview.Data), 100_000)
	link, ok := result.Content[2].(mcp.ResourceLink)
	require.True(t, ok)
	assert.Equal(t, i.URI, link.URI)
	assert.Equal(t, path.Base(saved.Path), link.Name)
	assert.Equal(t, i.Bytes, *link.Size)
}

func TestGenerate_Arguments(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	tests := []struct {
		name, arguments string
		want            string // part of the error, "" if accepted
	}{
		{"repaired number", `{"prompt":"x","n":"1","size":"512x512"}`, ""},
		{"repaired float", `{"prompt":"x","n":1.0,"size":"512x512"}`, ""},
		{"null counts as left out", `{"prompt":"x","n":null,"model":null,"size":"512x512"}`, ""},
		{"empty counts as left out", `{"prompt":"x","n":"","model":"","size":"","quality":" ","user_id":""}`, ""},
		{"number as user", `{"prompt":"x","user_id":123456,"size":"512x512"}`, ""},
		{"spelling", `{"prompt":"x","model":"cogView-4-250304","size":"512×512","quality":"HD"}`, ""},
		{"star", `{"prompt":"x","size":"512*512"}`, ""},
		{"unknown", `{"prompt":"x","colour":"red"}`, `Unknown argument "colour". Known arguments are: prompt, model, size, quality, n, user_id, save_as.`},
		{"no prompt", `{}`, "prompt is empty"},
		{"blank prompt", `{"prompt":"  "}`, "prompt is empty"},
		{"prompt of another type", `{"prompt":["x"]}`, `The argument "prompt" must be a string`},
		{"not an object", `[1]`, ""},
		{"n zero", `{"prompt":"x","n":0}`, "between 1 and 4"},
		{"n five", `{"prompt":"x","n":5}`, "between 1 and 4"},
		{"n words", `{"prompt":"x","n":"two"}`, "whole number"},
		{"n half", `{"prompt":"x","n":1.5}`, "whole number"},
		{"n huge", `{"prompt":"x","n":1e300}`, "whole number"},
		{"size", `{"prompt":"x","size":"large"}`, "1344x768"},
		{"size of the other model", `{"prompt":"x","model":"glm-image","size":"1040x1040"}`, "divisible by 32"},
		{"too many pixels", `{"prompt":"x","size":"2048x2048"}`, "2097152"},
		{"model", `{"prompt":"x","model":"dall-e"}`, "glm-image"},
		{"quality", `{"prompt":"x","model":"glm-image","quality":"standard"}`, "hd"},
		{"user", `{"prompt":"x","user_id":"me"}`, "6 to 128"},
		{"long prompt", fmt.Sprintf(`{"prompt":%q}`, strings.Repeat("x", 10_001)), "10000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "not an object" {
				return // mcp-go rejects it already; see FuzzArguments
			}
			before := r.sandbox.Posts()
			result, s := r.call(t, "generate_image", tt.arguments)
			if tt.want == "" {
				require.False(t, result.IsError, text(t, result))
				return
			}
			require.True(t, result.IsError)
			assert.EqualValues(t, "invalid_argument", s.Error.Kind)
			assert.False(t, s.Error.Retryable)
			assert.Contains(t, text(t, result), tt.want)
			assert.True(t, strings.HasSuffix(text(t, result), "(kind: invalid_argument)"))
			assert.Equal(t, before, r.sandbox.Posts(), "nothing was sent")
		})
	}
}

// Each kind of failure has a message, a hint and its kind in text and
// structured content.
func TestGenerate_ErrorKinds(t *testing.T) {
	t.Parallel()
	catalog := ".catalog.db"
	if testrig.Remote() {
		catalog = "catalog postgres://"
	}
	tests := []struct {
		kind, prompt string
		accepted     int64
		words        string
		change       func(*tools.Config, *jobs.Config)
	}{
		{"unauthorized", "sandbox:unauthorized", 0, "--region china", nil},
		{"wrong_region", "sandbox:wrong_region", 0, "ZAI_BASE_URL", nil},
		{"no_balance", "sandbox:no_balance", 0, "recharge", nil},
		{"rate_limited", "sandbox:too_frequent", 0, "Wait", nil},
		{"quota", "sandbox:quota", 0, "resets", nil},
		{"content_blocked", "sandbox:content_blocked", 0, "Rephrase", nil},
		{"invalid_argument", "sandbox:invalid_argument", 0, "size parameter", nil},
		{"upstream", "sandbox:upstream", 0, "later", nil},
		{"outcome_unknown", "sandbox:outcome_unknown", 1, "billed", nil},
		{"no_api_key", "a fox", 0, "ZAI_API_KEY", func(_ *tools.Config, j *jobs.Config) { j.Client = nil }},
		{"budget_exceeded", "a fox", 0, "--daily-budget", func(_ *tools.Config, j *jobs.Config) { j.BudgetUSD = 0.001 }},
		{"storage", "a fox", 0, catalog, func(_ *tools.Config, j *jobs.Config) { _ = j.Library.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, tt.change)
			result, s := r.call(t, "generate_image", fmt.Sprintf(`{"prompt":%q,"size":"512x512"}`, tt.prompt))
			require.True(t, result.IsError)
			require.NotNil(t, s.Error)
			assert.EqualValues(t, tt.kind, s.Error.Kind)
			assert.NotEmpty(t, s.Error.Message)
			assert.NotEmpty(t, s.Error.Hint)
			words := text(t, result)
			assert.True(t, strings.HasSuffix(words, "(kind: "+tt.kind+")"), words)
			assert.Contains(t, words, tt.words)
			assert.Equal(t, tt.accepted, r.sandbox.Accepted())
			assert.Len(t, result.Content, 1)
			raw, err := json.Marshal(result.StructuredContent)
			require.NoError(t, err)
			var fields map[string]any
			require.NoError(t, json.Unmarshal(raw, &fields))
			assert.Len(t, fields, 1, "only the error")
		})
	}
}

// One image of four is rejected; the call succeeds with the rest.
func TestGenerate_PartialFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	result, s := r.call(t, "generate_image", `{"prompt":"a fox sandbox:content_blocked@2","n":4,"size":"512x512"}`)
	require.False(t, result.IsError)
	require.Len(t, s.Images, 4)
	count := map[resources.Status]int{}
	seen := map[string]bool{}
	for _, i := range s.Images {
		count[i.Status]++
		seen[i.ID] = true
		if i.Status == resources.StatusFailed {
			assert.EqualValues(t, "content_blocked", i.Error.Kind)
			assert.Zero(t, i.CostUSD)
			assert.Empty(t, i.URI)
		}
	}
	assert.Equal(t, map[resources.Status]int{resources.StatusSaved: 3, resources.StatusFailed: 1}, count)
	assert.Len(t, seen, 4)
	r.mu.Lock()
	last := -1.0
	for _, p := range r.progress {
		assert.Greater(t, p["progress"], last, "it must increase with each notification")
		last = p["progress"].(float64)
	}
	r.mu.Unlock()
	assert.InDelta(t, 0.03, s.SpentTodayUSD, 1e-9)
	assert.Contains(t, text(t, result), "3 of 4 images saved")
	assert.Contains(t, text(t, result), "(kind: content_blocked)")
	var kinds []string
	for _, c := range result.Content[1:] {
		kinds = append(kinds, fmt.Sprintf("%T", c))
	}
	assert.Equal(t, []string{"mcp.ImageContent", "mcp.ResourceLink", "mcp.ImageContent", "mcp.ResourceLink", "mcp.ImageContent", "mcp.ResourceLink"}, kinds)

	result, s = r.call(t, "generate_image", `{"prompt":"sandbox:content_blocked","n":4}`)
	require.True(t, result.IsError, "all images failed")
	assert.EqualValues(t, "content_blocked", s.Error.Kind)
}

func TestGenerate_Concurrent(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		start := time.Now()
		_, s := r.call(t, "generate_image", `{"prompt":"sandbox:delay=3s","n":4,"size":"512x512"}`)
		require.Len(t, s.Images, 4)
		assert.Less(t, time.Since(start), 6*time.Second, "one after the other takes twelve seconds")
	})
}

func TestGenerate_WaitEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *tools.Config, _ *jobs.Config) { c.Wait = 300 * time.Millisecond }, func(t *testing.T, r *rig) {
		result, s := r.call(t, "generate_image", `{"prompt":"sandbox:delay=1s","size":"512x512"}`)
		require.False(t, result.IsError)
		require.Equal(t, resources.StatusWorking, s.Images[0].Status)
		id := s.Images[0].ID
		assert.Contains(t, text(t, result), "call get_image with this id")
		assert.Contains(t, text(t, result), id)
		assert.Equal(t, []string{"Image " + id + " is still being made; call get_image with this id in a while."}, s.Notes, "for hosts that drop the text")
		assert.InDelta(t, 0.01, s.SpentTodayUSD, 1e-9)
		result, s = r.call(t, "get_image", fmt.Sprintf(`{"id":%q}`, id))
		require.False(t, result.IsError)
		assert.Equal(t, resources.StatusWorking, s.Images[0].Status, "the wait is bounded again")
		require.Eventually(t, func() bool {
			_, s = r.call(t, "get_image", fmt.Sprintf(`{"id":%q}`, id))
			return s.Images[0].Status == resources.StatusSaved
		}, 10*time.Second, 10*time.Millisecond)
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}

// If all images fail after they were paid for, the failure names each of them.
func TestGenerate_PaidFailuresNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	result, s := r.call(t, "generate_image", `{"prompt":"sandbox:download","n":3,"size":"512x512"}`)
	require.True(t, result.IsError)
	unsaved, err := r.library.Unsaved(t.Context(), "local", 10)
	require.NoError(t, err)
	require.Len(t, unsaved, 3)
	for _, i := range unsaved {
		assert.Contains(t, s.Error.Hint, i.ID)
		assert.Contains(t, text(t, result), i.ID)
	}
}

// A result waits for its previews no longer than PreviewWait.
func TestGenerate_PreviewTakesTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *tools.Config, _ *jobs.Config) { c.PreviewWait = time.Nanosecond })
	result, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	require.False(t, result.IsError)
	assert.Equal(t, resources.StatusSaved, s.Images[0].Status)
	assert.Len(t, result.Content, 2, "text and link")
	assert.Contains(t, text(t, result), "no preview could be made")
	// The preview is still made, in the background: wait for its file.
	image, err := r.library.Image(t.Context(), "local", s.Images[0].ID)
	require.NoError(t, err)
	_, err = r.library.Preview(t.Context(), image)
	require.NoError(t, err)
}

// When the pipeline detaches its callers, a waiting call returns the id of its
// image, and the image is still generated.
func TestGenerate_Detached(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		time.AfterFunc(time.Second, r.pipeline.Detach)
		start := time.Now()
		result, s := r.call(t, "generate_image", `{"prompt":"sandbox:delay=20s","size":"512x512"}`)
		require.False(t, result.IsError)
		require.Equal(t, resources.StatusWorking, s.Images[0].Status)
		assert.Less(t, time.Since(start), 2*time.Second)
		<-r.pipeline.Find(s.Images[0].ID).Done()
	})
}

// If a call is cancelled after its request was sent, a repeated call gets the
// image.
func TestGenerate_Cancelled(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		request := mcp.CallToolRequest{}
		request.Params.Name = "generate_image"
		request.Params.Arguments = map[string]any{"prompt": "sandbox:delay=5s", "size": "512x512"}
		result, err := r.CallTool(ctx, request)
		require.NoError(t, err)
		s := testrig.StructuredContent(t, result.StructuredContent)
		require.True(t, result.IsError)
		assert.Equal(t, resources.KindCancelled, s.Error.Kind)
		assert.False(t, s.Error.Retryable)
		assert.Contains(t, s.Error.Hint, "within 15 minutes")
		again, s := r.call(t, "generate_image", `{"prompt":"sandbox:delay=5s","size":"512x512"}`)
		require.False(t, again.IsError)
		assert.Contains(t, text(t, again), "nothing was charged a second time")
		assert.Equal(t, resources.StatusSaved, s.Images[0].Status)
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}

// If a call joins an equal call of another process that is then cancelled
// before its request is sent, the call starts over and gets an image of its
// own.
func TestGenerate_JoinedCallCancelledElsewhere(t *testing.T) {
	t.Parallel()
	var config jobs.Config
	inBubble(t, func(_ *tools.Config, c *jobs.Config) { config = *c }, func(t *testing.T, r *rig) {
		queued := r.queueElsewhere(t, config, "a fox")
		time.AfterFunc(time.Second, queued.Abandon)
		result, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
		require.False(t, result.IsError, text(t, result))
		assert.Equal(t, resources.StatusSaved, s.Images[0].Status)
		assert.NotEqual(t, queued.Jobs[0].ID(), s.Images[0].ID)
		assert.EqualValues(t, 2, r.sandbox.Posts())
	})
}

// A call that starts over, because the call that it joined was cancelled in
// another process, waits no longer than Wait in total.
func TestGenerate_WaitAfterStartingOver(t *testing.T) {
	t.Parallel()
	var config jobs.Config
	change := func(c *tools.Config, j *jobs.Config) { c.Wait, config = 30*time.Second, *j }
	inBubble(t, change, func(t *testing.T, r *rig) {
		queued := r.queueElsewhere(t, config, "sandbox:delay=5m a fox")
		time.AfterFunc(20*time.Second, queued.Abandon)
		start := time.Now()
		result, s := r.call(t, "generate_image", `{"prompt":"sandbox:delay=5m a fox","size":"512x512"}`)
		require.False(t, result.IsError, text(t, result))
		assert.Equal(t, resources.StatusWorking, s.Images[0].Status)
		assert.NotEqual(t, queued.Jobs[0].ID(), s.Images[0].ID)
		assert.InDelta(t, 30, time.Since(start).Seconds(), 1)
	})
}

// queueElsewhere starts a call in another process on the rig's library, where it
// waits for a slot.
func (r *rig) queueElsewhere(t *testing.T, config jobs.Config, prompt string) *jobs.Call {
	t.Helper()
	config.Process, config.MaxConcurrent = rand.Text(), 1
	folder := filepath.Dir(r.library.Path(resources.Image{Path: "x"}))
	config.Library = testrig.Library(t, func(o *testrig.LibraryOptions) { o.Folder = folder })
	other := jobs.New(config)
	t.Cleanup(func() { _ = other.Drain(context.Background()) })
	t.Cleanup(r.sandbox.Close)
	request := jobs.Request{Owner: "local", Model: zai.DefaultModel, Prompt: "sandbox:delay=10m slow", Size: "512x512", Quality: "standard", PriceUSD: 0.01}
	_, err := other.Start(t.Context(), request, nil)
	require.NoError(t, err)
	request.Prompt = prompt
	queued, err := other.Start(t.Context(), request, nil)
	require.NoError(t, err)
	return queued
}
