package mcpserver_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai/sandbox"
)

// Every error kind that the service can cause, seen from outside: what the
// agent is told, how many requests were taken, and that the key is nowhere.
func TestErrorKinds(t *testing.T) {
	const key = "0ca9a72ec0ffee11deadbeef00000001.CanaryCanary4242"
	tests := []struct {
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
	}
	for _, tt := range tests {
		t.Run(tt.prompt, func(t *testing.T) {
			t.Parallel()
			api := sandbox.New(sandbox.Options{Key: key})
			server := httptest.NewServer(api)
			defer server.Close()
			folder := t.TempDir()
			c := program(t, []string{"ZAI_API_KEY=" + key, "ZAI_BASE_URL=" + server.URL + sandbox.BasePath, "ZAI_IMAGE_STORE=" + folder, "ZAI_IMAGE_LOG_LEVEL=debug"})
			c.Stdin = strings.NewReader(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":%q,"size":"512x512"}}}`, tt.prompt) + "\n")
			var log bytes.Buffer
			c.Stderr = &log
			out, err := c.Output()
			require.NoError(t, err)
			var answer struct {
				Result struct {
					IsError           bool
					Content           []struct{ Text string }
					StructuredContent struct {
						Error struct {
							Kind, Message, Hint string
							Retryable           bool
						}
					}
				}
			}
			require.NoError(t, json.Unmarshal(out, &answer), "one line of JSON: %s", out)
			got := answer.Result.StructuredContent.Error
			assert.True(t, answer.Result.IsError)
			assert.EqualValues(t, tt.kind, got.Kind)
			assert.Equal(t, tt.retryable, got.Retryable)
			assert.Equal(t, got.Message+" "+got.Hint+" (kind: "+tt.kind+")", answer.Result.Content[0].Text)
			assert.Equal(t, tt.posts, api.Posts())
			assert.Equal(t, tt.accepted, api.Accepted())
			everything := slices.Concat(out, log.Bytes())
			require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					file, readErr := os.ReadFile(path)
					everything, err = append(everything, file...), readErr
				}
				return err
			}))
			for _, form := range []string{key, key[:8], base64.StdEncoding.EncodeToString([]byte(key)), url.QueryEscape(key)} {
				assert.NotContains(t, string(everything), form, "the key")
			}
		})
	}
}

// A host may start the program only to look at it; that must leave no trace.
func TestStartingAloneMakesNoFiles(t *testing.T) {
	c := program(t, nil)
	home := strings.TrimPrefix(c.Env[0], "HOME=")
	c.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}` + "\n")
	out, err := c.Output()
	require.NoError(t, err)
	assert.Contains(t, string(out), `"supportedVersions"`)
	left, err := os.ReadDir(home)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A script that is piped in gets all its answers.
func TestEndOfInputLosesNoAnswer(t *testing.T) {
	api, env := startAPI(t)
	c := program(t, env)
	var in strings.Builder
	fmt.Fprintln(&in, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	fmt.Fprintln(&in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	for id := 1; id <= 8; id++ {
		fmt.Fprintf(&in, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=100ms %d","size":"512x512"}}}`+"\n", id, id)
	}
	c.Stdin = strings.NewReader(in.String())
	out, err := c.Output()
	require.NoError(t, err)
	answers := map[float64]bool{}
	for line := range strings.Lines(string(out)) {
		var message struct {
			ID     *float64
			Result struct{ IsError bool }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &message), line)
		if message.ID != nil {
			answers[*message.ID] = true
			assert.False(t, message.Result.IsError, line)
		}
	}
	assert.Len(t, answers, 9)
	assert.EqualValues(t, 8, api.Accepted())
}

func TestSIGTERMFinishesPaidWork(t *testing.T) {
	needsSignals(t)
	api, env := startAPI(t)
	folder := t.TempDir()
	c := program(t, append(env, "ZAI_IMAGE_STORE="+folder))
	in, err := c.StdinPipe()
	require.NoError(t, err)
	var out bytes.Buffer
	c.Stdout = &out
	require.NoError(t, c.Start())
	_, err = io.WriteString(in, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=500ms","size":"512x512"}}}`+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return api.Accepted() == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "exit status 0")
	assert.Contains(t, out.String(), `"status":"saved"`)
}

// A host that is gone takes its end of the pipes along.
func TestAHostThatDiesLosesNoPicture(t *testing.T) {
	api, env := startAPI(t)
	folder := t.TempDir()
	c := program(t, append(env, "ZAI_IMAGE_STORE="+folder))
	in, err := c.StdinPipe()
	require.NoError(t, err)
	ours, theirs, err := os.Pipe()
	require.NoError(t, err)
	c.Stdout = theirs
	require.NoError(t, c.Start())
	require.NoError(t, theirs.Close())
	_, err = io.WriteString(in, generate(1, "sandbox:delay=500ms")+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return api.Accepted() == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, ours.Close())
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait(), "exit status 0")
	saved, err := filepath.Glob(filepath.Join(folder, "*", "*", "*", "*.png"))
	require.NoError(t, err)
	assert.Len(t, saved, 1)
}

// What does not end within the grace is cut off, and its row says so.
func TestTheGraceIsAllThereIs(t *testing.T) {
	api, env := startAPI(t)
	folder := t.TempDir()
	c := program(t, append(env, "ZAI_IMAGE_STORE="+folder, "ZAI_IMAGE_SHUTDOWN_GRACE=300ms"))
	c.Stdin = strings.NewReader(generate(1, "sandbox:delay=9s") + "\n")
	start := time.Now()
	out, err := c.Output()
	require.NoError(t, err, "exit status 0")
	assert.Less(t, time.Since(start), 8*time.Second)
	assert.EqualValues(t, 1, api.Accepted())
	assert.NotContains(t, string(out), `"status":"saved"`)
}

// A signal ends what waits at once and finishes only what was sent.
func TestNothingNewIsSentAfterASignal(t *testing.T) {
	needsSignals(t)
	api, env := startAPI(t)
	c := program(t, append(env, "ZAI_IMAGE_STORE="+t.TempDir(), "ZAI_IMAGE_MAX_CONCURRENT=1"))
	in, err := c.StdinPipe()
	require.NoError(t, err)
	var out bytes.Buffer
	c.Stdout = &out
	require.NoError(t, c.Start())
	for id := range 5 {
		_, err = io.WriteString(in, generate(id, fmt.Sprint("sandbox:delay=500ms ", id))+"\n")
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return api.Accepted() == 1 }, 10*time.Second, time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "exit status 0")
	assert.EqualValues(t, 1, api.Posts())
	assert.Equal(t, 4, strings.Count(out.String(), `"kind":"cancelled"`))
	assert.Equal(t, 1, strings.Count(out.String(), `"status":"saved"`))
}

// needsSignals skips where one process cannot ask another to end.
func needsSignals(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED here: Windows can only kill a process")
	}
}
