package mcpserver_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/telemetry"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/zai"
)

const secretKey = "0ca9a72ec0ffee11deadbeef00000001.CanaryCanary4242"

// assertNoKey fails if the key is in a text or in a file of a folder, plain or
// encoded. If the library is on PostgreSQL and S3, it looks only at the text.
func assertNoKey(t *testing.T, text, folder string) {
	t.Helper()
	if testrig.Remote() {
		folder = t.TempDir()
	}
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			file, readErr := os.ReadFile(path)
			text, err = text+string(file), readErr
		}
		return err
	}))
	for _, form := range []string{secretKey, secretKey[:8], base64.StdEncoding.EncodeToString([]byte(secretKey)), url.QueryEscape(secretKey)} {
		assert.NotContains(t, text, form, "the key")
	}
}

// keyedAPI returns a service that demands the secret key, and a client that has
// it.
func keyedAPI(t *testing.T) (*testrig.Service, func(*settings)) {
	t.Helper()
	api := testrig.API(t, func(o *testrig.APIOptions) { o.Sandbox.Key = secretKey })
	client, err := zai.NewClient(secretKey, zai.WithBaseURL(api.BaseURL()), zai.WithDownloadRetries(0, 0, 0),
		zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 }), zai.WithPolling(5*time.Millisecond, 20*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return api, func(c *settings) { c.Jobs.Client = client }
}

// faults returns calls that meet each fault of the service. The second result
// holds those that the client retries after a wait.
func faults() (immediate, waiting []string) {
	names := []string{
		"", "unauthorized", "wrong_region", "no_balance", "quota", "content_blocked", "content_blocked_output", "invalid_argument",
		"outcome_unknown", "hangup", "no_picture", "broken_json", "jpeg", "b64", "filtered",
	}
	slow := []string{"too_frequent*1", "upstream*1", "download", "page", "truncated", "late"}
	tasks := []string{"no_async", "task_failed", "task_gone", "hangup", "unauthorized"}
	id := 0
	next := func(prompt string) string { id++; return generate(id, prompt) }
	for _, name := range names {
		immediate = append(immediate, next("sandbox:"+name))
	}
	for _, name := range slow {
		waiting = append(waiting, next("sandbox:"+name))
	}
	for _, name := range tasks {
		waiting = append(waiting, strings.Replace(next("task sandbox:"+name), `"size":"512x512"`, `"model":"glm-image"`, 1))
	}
	return immediate, waiting
}

func assertAnswered(t *testing.T, lines []string, text string) {
	t.Helper()
	assert.Equal(t, len(lines), strings.Count(text, `"spent_today_usd"`)+strings.Count(text, `"isError":true`), "all were answered")
}

// The key is in nothing that leaves the server: all faults, over all
// transports, at debug level.
func TestKey_NeverLeaves(t *testing.T) {
	t.Parallel()
	immediate, waiting := faults()
	lines := slices.Concat(immediate, waiting)
	for _, transport := range []string{"stdio", "streamable", "sse"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			api, withKey := keyedAPI(t)
			log, folder := &safeBuffer{}, ""
			change := func(c *settings) {
				withKey(c)
				folder = c.Library.StoreName()
				c.Jobs.MaxConcurrent = 30
				c.Log = telemetry.NewLogger(log, slog.LevelDebug, false, secretKey, nil)
			}
			text := ""
			if transport == "stdio" {
				r := newRigOn(t, api, change)
				r.start(t)
				for _, line := range lines {
					r.send(t, line)
				}
				for range lines {
					text += string(r.answer(t).Result)
				}
			} else {
				r := newWebRig(t, webOptions{api: api, config: change})
				text = sendOverHTTP(t, r, transport, lines)
			}
			assertAnswered(t, lines, text)
			assertNoKey(t, text+log.String(), folder)
		})
	}
}

// sendOverHTTP sends lines and returns all that the server answers, with its
// metrics.
func sendOverHTTP(t *testing.T, r *webRig, transport string, lines []string) string {
	t.Helper()
	output := &safeBuffer{}
	if transport == "sse" {
		stream := r.openSSE(t)
		for _, line := range lines {
			stream.send(t, line)
		}
		for range lines {
			_, _ = output.Write(stream.answer(t).Result)
		}
	} else {
		named := r.session(t)
		var all sync.WaitGroup
		for _, line := range lines {
			all.Go(func() {
				_, text := r.ask(t, http.MethodPost, "/mcp", line, named...)
				_, _ = io.WriteString(output, text)
			})
		}
		all.Wait()
	}
	_, text := r.ask(t, http.MethodGet, "/metrics", "")
	return output.String() + text
}

// The same for the program, which sets the log up itself; with the faults that
// it answers without a wait.
func TestProgram_KeyNeverLeaves(t *testing.T) {
	t.Parallel()
	lines, waiting := faults()
	if os.Getenv("ZAI_TEST_FULL") != "" {
		lines = append(lines, waiting...)
	}
	api := testrig.API(t, func(o *testrig.APIOptions) { o.Sandbox.Key = secretKey })
	folder := t.TempDir()
	output := &safeBuffer{}
	c := program(t, []string{"ZAI_API_KEY=" + secretKey, "ZAI_BASE_URL=" + api.BaseURL(), "ZAI_IMAGE_STORE=" + folder, "ZAI_IMAGE_LOG_LEVEL=debug", "ZAI_IMAGE_MAX_CONCURRENT=30"})
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(strings.Join(lines, "\n")+"\n"), output, output
	require.NoError(t, c.Run())
	assertAnswered(t, lines, output.String())
	assertNoKey(t, output.String(), folder)
}

// Each kind of error that the service can cause: the error that the agent gets, how
// many requests were accepted, and that the key is nowhere.
func TestErrorKinds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		prompt, kind    string
		posts, accepted int64
		retryable       bool
	}{
		{"sandbox:unauthorized", "unauthorized", 1, 0, false},
		{"sandbox:wrong_region", "wrong_region", 1, 0, false},
		{"sandbox:no_balance", "no_balance", 1, 0, false},
		{"sandbox:quota", "quota", 1, 0, false},
		{"sandbox:content_blocked", "content_blocked", 1, 0, false},
		{"sandbox:content_blocked_output", "content_blocked", 1, 0, false},
		{"sandbox:invalid_argument", "invalid_argument", 1, 0, false},
		{"sandbox:too_frequent", "rate_limited", 4, 0, true},
		{"sandbox:upstream", "upstream", 4, 0, true},
		{"sandbox:outcome_unknown", "outcome_unknown", 1, 1, false},
		{"sandbox:hangup", "outcome_unknown", 1, 1, false},
		{"sandbox:no_picture", "outcome_unknown", 1, 1, false},
		{"sandbox:broken_json", "outcome_unknown", 1, 1, false},
		{"sandbox:download", "download", 1, 1, true},
		{"sandbox:page", "download", 1, 1, true},
		{" ", "invalid_argument", 0, 0, false},
	} {
		t.Run(tt.prompt, func(t *testing.T) {
			t.Parallel()
			api, withKey := keyedAPI(t)
			log, folder := &safeBuffer{}, ""
			r := newRigOn(t, api, func(c *settings) {
				withKey(c)
				folder = c.Library.StoreName()
				c.Log = telemetry.NewLogger(log, slog.LevelDebug, false, secretKey, nil)
			})
			r.start(t)
			r.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":%q,"size":"512x512"}}}`, tt.prompt))
			answer := r.next(t)
			result := answer.ToolResult(t)
			got := result.StructuredContent.Error
			require.NotNil(t, got)
			assert.True(t, result.IsError)
			assert.Equal(t, tt.kind, string(got.Kind))
			assert.Equal(t, tt.retryable, got.Retryable)
			assert.Equal(t, got.Message+" "+got.Hint+" (kind: "+tt.kind+")", result.Content[0].Text)
			assert.Equal(t, tt.posts, api.Posts())
			assert.Equal(t, tt.accepted, api.Accepted())
			assertNoKey(t, string(answer.Result)+log.String(), folder)
		})
	}
}
