package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai/sandbox"
)

// The tests run the real binary, with a client that is not built on the
// server's own library.

func TestMain(m *testing.M) {
	if os.Getenv("ZAI_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command starts this binary as the program, with nothing from our own
// environment.
func command(t testing.TB, home string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append([]string{"ZAI_TEST_MAIN=1", "HOME=" + home, "PATH=" + os.Getenv("PATH"), "GOCOVERDIR=" + home}, env...)
	c.WaitDelay = 10 * time.Second
	return c
}

func run(t *testing.T, env []string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	c := command(t, t.TempDir(), env, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// host is an MCP client with the program as its server.
type host struct {
	*mcp.ClientSession
	mu       sync.Mutex
	progress []string
	changed  int
	updated  []string
}

func connect(t *testing.T, folder string, env []string, args ...string) *host {
	t.Helper()
	h := &host{}
	client := mcp.NewClient(&mcp.Implementation{Name: "test-host", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.progress = append(h.progress, r.Params.Message)
		},
		ResourceListChangedHandler: func(context.Context, *mcp.ResourceListChangedRequest) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.changed++
		},
		ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.updated = append(h.updated, r.Params.URI)
		},
	})
	c := command(t, t.TempDir(), env, append([]string{"--store", folder}, args...)...)
	var log bytes.Buffer
	c.Stderr = &log
	session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: c}, nil)
	require.NoError(t, err, log.String())
	h.ClientSession = session
	t.Cleanup(func() { _ = session.Close() })
	return h
}

// structured is what the test looks at in a result.
type structured struct {
	Images []struct {
		ID, Status, URI, Path string
		PreviewURI            string `json:"preview_uri"`
		MIMEType              string `json:"mime_type"`
		Bytes                 int64
		SHA256                string
		Width, Height         int
	}
	Sandbox bool
	Error   *struct{ Kind, Message, Hint string }
}

func (h *host) call(t *testing.T, tool string, arguments map[string]any) (*mcp.CallToolResult, structured) {
	t.Helper()
	params := &mcp.CallToolParams{Name: tool, Arguments: arguments}
	params.SetProgressToken("token")
	result, err := h.CallTool(t.Context(), params)
	require.NoError(t, err)
	raw, err := json.Marshal(result.StructuredContent)
	require.NoError(t, err)
	var s structured
	require.NoError(t, json.Unmarshal(raw, &s))
	return result, s
}

func (h *host) read(t *testing.T, uri string) *mcp.ResourceContents {
	t.Helper()
	result, err := h.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
	require.NoError(t, err)
	require.NotEmpty(t, result.Contents)
	return result.Contents[0]
}

// recorder keeps the picture files that a sandbox served.
type recorder struct {
	*sandbox.Sandbox
	mu    sync.Mutex
	files map[string]bool
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	copied := httptest.NewRecorder()
	r.Sandbox.ServeHTTP(copied, q)
	if q.Method == http.MethodGet {
		r.mu.Lock()
		r.files[copied.Body.String()] = true
		r.mu.Unlock()
	}
	maps.Copy(w.Header(), copied.Header())
	w.WriteHeader(copied.Code)
	_, _ = io.Copy(w, copied.Body)
}

func startAPI(t *testing.T) (*recorder, []string) {
	t.Helper()
	r := &recorder{Sandbox: sandbox.New(sandbox.Options{Key: "the-key"}), files: map[string]bool{}}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return r, []string{"ZAI_API_KEY=the-key", "ZAI_BASE_URL=" + s.URL + sandbox.BasePath}
}

func TestAnAgentHasItsPictures(t *testing.T) {
	api, env := startAPI(t)
	folder := t.TempDir()
	h := connect(t, folder, env)

	listed, err := h.ListTools(t.Context(), nil)
	require.NoError(t, err)
	var names []string
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
		assert.NotNil(t, tool.OutputSchema)
	}
	assert.Equal(t, []string{"generate_image", "get_image", "list_images"}, names)
	assert.Contains(t, h.InitializeResult().Instructions, "generate_image")

	result, s := h.call(t, "generate_image", map[string]any{"prompt": "a fox", "n": 3, "size": "512x512"})
	require.False(t, result.IsError)
	require.Len(t, s.Images, 3)
	assert.False(t, s.Sandbox, "a configured API is no sandbox of ours")
	assert.EqualValues(t, 3, api.Posts())
	for _, i := range s.Images {
		original := h.read(t, i.URI)
		assert.Equal(t, i.MIMEType, original.MIMEType)
		assert.True(t, api.files[string(original.Blob)], "the bytes that the API served")
		onDisk, err := os.ReadFile(i.Path)
		require.NoError(t, err)
		assert.Equal(t, onDisk, original.Blob)
		preview := h.read(t, i.PreviewURI)
		assert.Equal(t, "image/jpeg", preview.MIMEType)
		assert.True(t, bytes.HasPrefix(preview.Blob, []byte("\xff\xd8\xff")))
		var metadata map[string]any
		require.NoError(t, json.Unmarshal([]byte(h.read(t, i.URI+"/metadata").Text), &metadata))
		assert.Equal(t, i.SHA256, metadata["sha256"])
		assert.Equal(t, "a fox", metadata["prompt"])
	}
	assert.Contains(t, h.read(t, "zai-image://models").Text, "glm-image")

	h.mu.Lock()
	assert.Contains(t, h.progress, "picture 3 of 3: queued")
	assert.Contains(t, strings.Join(h.progress, "\n"), "saved")
	h.mu.Unlock()
	require.Eventually(t, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.changed >= 3 }, 5*time.Second, time.Millisecond)

	for _, uri := range []string{"zai-image://images/01m7wnsdj83vthhjy68qfe1hke", "zai-image://images/x", "zai-image://images/../../etc/passwd", "file:///etc/passwd"} {
		_, err = h.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
		var wire *jsonrpc.Error
		require.ErrorAs(t, err, &wire, uri)
		assert.Contains(t, []int64{-32002, -32602}, wire.Code, uri)
	}
	require.NoError(t, h.Close(), "exit status 0")

	h = connect(t, folder, env)
	again, s2 := h.call(t, "get_image", map[string]any{"id": s.Images[0].ID})
	require.False(t, again.IsError)
	assert.Equal(t, s.Images[0], s2.Images[0], "a restart changes nothing")
	h.read(t, s.Images[0].URI)
}

func TestPagesOverAHundredPictures(t *testing.T) {
	_, env := startAPI(t)
	h := connect(t, t.TempDir(), env, "--daily-budget", "0")
	made := map[string]bool{}
	for range 30 {
		_, s := h.call(t, "generate_image", map[string]any{"prompt": "a fox", "n": 4, "size": "512x512"})
		for _, i := range s.Images {
			made[i.URI] = true
		}
	}
	require.Len(t, made, 120)
	var seen []string
	pages := 0
	cursor := ""
	for {
		page, err := h.ListResources(t.Context(), &mcp.ListResourcesParams{Cursor: cursor})
		require.NoError(t, err)
		assert.LessOrEqual(t, len(page.Resources), 50)
		pages++
		for _, r := range page.Resources {
			if r.URI != "zai-image://models" {
				seen = append(seen, r.URI)
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			assert.Equal(t, "zai-image://models", page.Resources[len(page.Resources)-1].URI)
			break
		}
	}
	assert.Equal(t, 3, pages)
	require.Len(t, seen, 120)
	for n, uri := range seen {
		assert.True(t, made[uri])
		delete(made, uri)
		if n > 0 {
			assert.Greater(t, seen[n-1], uri, "newest first")
		}
	}
	assert.Empty(t, made, "none lost")
	for _, cursor := range []string{"x", "!!", "YmVmb3JlIA==", "YWZ0ZXIgMDE="} {
		_, err := h.ListResources(t.Context(), &mcp.ListResourcesParams{Cursor: cursor})
		var wire *jsonrpc.Error
		require.ErrorAs(t, err, &wire, cursor)
		assert.EqualValues(t, -32602, wire.Code)
	}
	completed, err := h.Complete(t.Context(), &mcp.CompleteParams{
		Ref:      &mcp.CompleteReference{Type: "ref/resource", URI: "zai-image://images/{id}"},
		Argument: mcp.CompleteParamsArgument{Name: "id", Value: seen[7][len("zai-image://images/"):][:24]},
	})
	require.NoError(t, err)
	assert.Contains(t, completed.Completion.Values, seen[7][len("zai-image://images/"):])
	none, err := h.Complete(t.Context(), &mcp.CompleteParams{
		Ref: &mcp.CompleteReference{Type: "ref/resource", URI: "zai-image://other/{id}"}, Argument: mcp.CompleteParamsArgument{Name: "id"},
	})
	require.NoError(t, err)
	assert.Empty(t, none.Completion.Values)
}

// What a host of a kind gets is decided by the name it gives.
func TestCodexGetsNoStructuredContent(t *testing.T) {
	client := mcp.NewClient(&mcp.Implementation{Name: "codex-mcp-client", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: command(t, t.TempDir(), nil, "--sandbox")}, nil)
	require.NoError(t, err)
	defer session.Close()
	listed, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	for _, tool := range listed.Tools {
		assert.Nil(t, tool.OutputSchema)
	}
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "generate_image", Arguments: map[string]any{"prompt": "x", "size": "512x512"}})
	require.NoError(t, err)
	assert.Nil(t, result.StructuredContent)
	assert.Len(t, result.Content, 3)
}

func TestTheServerStartsWithoutAKey(t *testing.T) {
	h := connect(t, t.TempDir(), nil)
	_, err := h.ListTools(t.Context(), nil)
	require.NoError(t, err)
	result, s := h.call(t, "generate_image", map[string]any{"prompt": "a fox"})
	require.True(t, result.IsError)
	assert.Equal(t, "no_api_key", s.Error.Kind)
	assert.Contains(t, s.Error.Hint, "ZAI_API_KEY")
}

func TestSubscribersHear(t *testing.T) {
	_, env := startAPI(t)
	h := connect(t, t.TempDir(), env, "--wait", "50ms")
	_, s := h.call(t, "generate_image", map[string]any{"prompt": "sandbox:delay=500ms", "size": "512x512"})
	require.Equal(t, "working", s.Images[0].Status)
	uri := s.Images[0].URI
	require.NoError(t, h.Subscribe(t.Context(), &mcp.SubscribeParams{URI: uri}))
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.updated) == 1 && h.updated[0] == uri
	}, 10*time.Second, time.Millisecond)
	h.read(t, uri)
}

// The largest pictures do not fit into one message of a host.
func TestHugePicturesFitIntoAMessage(t *testing.T) {
	_, env := startAPI(t)
	folder := t.TempDir()
	h := connect(t, folder, env)
	_, s := h.call(t, "generate_image", map[string]any{"prompt": "sandbox:huge", "model": "glm-image", "size": "2048x2048"})
	i := s.Images[0]
	require.Greater(t, i.Bytes, int64(9<<20))
	result, err := h.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: i.URI})
	require.NoError(t, err)
	copied := result.Contents[0]
	assert.Equal(t, "image/jpeg", copied.MIMEType)
	assert.True(t, bytes.HasPrefix(copied.Blob, []byte("\xff\xd8\xff")))
	assert.Equal(t, true, copied.Meta["zai-image/reencoded"])
	assert.Contains(t, result.Contents[1].Text, i.Path)
	raw, err := json.Marshal(result)
	require.NoError(t, err)
	assert.Less(t, len(raw), 9<<20)
}

func TestGenerateFromTheTerminal(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "kitten.png")
	out, errs, exit := run(t, nil, "generate", "--sandbox", "-o", copied, "-n", "2", "--size", "512x512", "A cute little kitten")
	require.Zero(t, exit, errs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4)
	assert.Equal(t, copied, lines[0])
	assert.Regexp(t, `^zai-image://images/[0-9a-z]{26}$`, lines[1])
	for _, path := range []string{lines[0], lines[2]} {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, bytes.HasPrefix(b, []byte("\x89PNG")))
	}
	assert.Contains(t, errs, "generating")
	assert.Contains(t, errs, "sandbox")
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		args []string
		exit int
		want []string // parts of stderr
	}{
		{"flag", nil, []string{"--colour"}, 2, []string{"unknown flag --colour", "--help"}},
		{"command", nil, []string{"paint"}, 2, []string{"paint", "--help"}},
		{"transport", nil, []string{"--transport", "carrier-pigeon"}, 2, []string{"--transport", "stdio"}},
		{"region", []string{"ZAI_IMAGE_REGION=mars"}, nil, 2, []string{"region", "china"}},
		{"model", nil, []string{"--model", "dall-e"}, 2, []string{"dall-e", "glm-image"}},
		{"model of the other region", nil, []string{"--model", "cogview-3-flash"}, 2, []string{"only in region china"}},
		{"base URL", []string{"ZAI_API_KEY=k"}, []string{"--base-url", "ftp://x"}, 2, []string{"--base-url", "https://"}},
		{"base URL without key", nil, []string{"--base-url", "nonsense"}, 2, []string{"--base-url"}},
		{"bucket", nil, []string{"--store", "s3://bucket"}, 2, []string{"only local files"}},
		{"database", nil, []string{"--catalog", "postgres://x"}, 2, []string{"only local files"}},
		{"key file", []string{"ZAI_API_KEY_FILE=/does/not/exist"}, nil, 2, []string{"ZAI_API_KEY_FILE"}},
		{"wait", nil, []string{"--wait", "soon"}, 2, []string{"--wait"}},
		{"no prompt", nil, []string{"generate"}, 2, []string{"prompt"}},
		{"no key", nil, []string{"generate", "a fox"}, 1, []string{"ZAI_API_KEY", "(kind: no_api_key)"}},
		{"bad size", nil, []string{"generate", "--sandbox", "--size", "1x1", "a fox"}, 1, []string{"512 to 2048", "(kind: invalid_argument)"}},
		{"refused", nil, []string{"generate", "--sandbox", "sandbox:content_blocked"}, 1, []string{"(kind: content_blocked)"}},
		{"unknown picture", nil, []string{"images", "show", "x"}, 1, []string{"no such picture"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, exit := run(t, tt.env, tt.args...)
			assert.Equal(t, tt.exit, exit)
			assert.Empty(t, out)
			for _, want := range tt.want {
				assert.Contains(t, errs, want)
			}
			if tt.exit == 2 {
				assert.Len(t, strings.Split(strings.TrimSpace(errs), "\n"), 2, "one line what is wrong, one what to do: %s", errs)
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	out, _, exit := run(t, nil, "version")
	assert.Zero(t, exit)
	assert.Equal(t, version+"\n", out)
	out, _, exit = run(t, nil, "serve", "--help")
	assert.Zero(t, exit)
	assert.Contains(t, out, "ZAI_IMAGE_STORE")
	assert.NotContains(t, out, "--api-key", "secrets have no flag")
}

func TestImagesCommand(t *testing.T) {
	folder := t.TempDir()
	env := []string{"ZAI_IMAGE_STORE=" + folder}
	out, errs, exit := run(t, env, "generate", "--sandbox", "--size", "512x512", "a red fox")
	require.Zero(t, exit, errs)
	path, uri, _ := strings.Cut(strings.TrimSpace(out), "\n")
	out, _, exit = run(t, env, "images", "list")
	require.Zero(t, exit)
	assert.Contains(t, out, "a red fox")
	out, _, _ = run(t, env, "images", "list", "--json", "--query", "RED")
	var entry map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &entry))
	assert.Equal(t, uri, entry["uri"])
	out, _, _ = run(t, env, "images", "path", uri)
	assert.Equal(t, path+"\n", out)
	out, _, _ = run(t, env, "images", "show", entry["id"].(string))
	assert.Contains(t, out, `"prompt": "a red fox"`)
	_, _, exit = run(t, env, "images", "rm", uri)
	require.Zero(t, exit)
	_, err := os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	out, _, _ = run(t, env, "images", "list")
	assert.Empty(t, out)
	_, _, exit = run(t, env, "images", "rm", uri)
	assert.Equal(t, 1, exit)
}

func TestKeySources(t *testing.T) {
	api, env := startAPI(t)
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("the-key\n"), 0o600))
	base := env[1]
	for name, env := range map[string][]string{
		"ZAI_API_KEY":       {"ZAI_API_KEY=the-key"},
		"Z_AI_API_KEY":      {"Z_AI_API_KEY=the-key"},
		"file":              {"ZAI_API_KEY_FILE=" + file},
		"empty placeholder": {"ZAI_API_KEY=${ZAI_API_KEY}", "Z_AI_API_KEY=the-key"},
	} {
		_, errs, exit := run(t, append(env, base), "generate", "--size", "512x512", "a fox")
		assert.Zero(t, exit, "%s: %s", name, errs)
		assert.NotContains(t, errs, "the-key")
	}
	assert.EqualValues(t, 4, api.Accepted())
}

func TestSandboxCommand(t *testing.T) {
	c := command(t, t.TempDir(), nil, "sandbox", "--listen", "127.0.0.1:0", "--key", "k")
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	line := make([]byte, 200)
	n, err := out.Read(line)
	require.NoError(t, err)
	base := line[bytes.Index(line[:n], []byte("http")):n]
	_, errs, exit := run(t, []string{"ZAI_API_KEY=k", "ZAI_BASE_URL=" + strings.TrimSpace(string(base))}, "generate", "--size", "512x512", "a fox")
	assert.Zero(t, exit, errs)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.NoError(t, c.Wait(), "exit status 0")
}

// A host may start the program only to look at it; that must leave no trace.
func TestStartingAloneMakesNoFiles(t *testing.T) {
	home := t.TempDir()
	c := command(t, home, nil)
	c.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}` + "\n")
	out, err := c.Output()
	require.NoError(t, err)
	assert.Contains(t, string(out), `"supportedVersions"`)
	left, err := filepath.Glob(filepath.Join(home, "*"))
	require.NoError(t, err)
	for _, name := range left {
		assert.Contains(t, filepath.Base(name), "cov", "only coverage data of this test")
	}
}

// A script that is piped in gets all its answers.
func TestEndOfInputLosesNoAnswer(t *testing.T) {
	api, env := startAPI(t)
	c := command(t, t.TempDir(), env)
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
	api, env := startAPI(t)
	folder := t.TempDir()
	c := command(t, t.TempDir(), append(env, "ZAI_IMAGE_STORE="+folder))
	in, err := c.StdinPipe()
	require.NoError(t, err)
	var out bytes.Buffer
	c.Stdout = &out
	require.NoError(t, c.Start())
	_, err = io.WriteString(in, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=500ms","size":"512x512"}}}`+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return api.Accepted() == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.NoError(t, c.Wait(), "exit status 0")
	assert.Contains(t, out.String(), `"status":"saved"`)
}
