package mcpserver_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// The tests of this file run the real binary, with a client that is not built
// on the server's own library.

// host is an MCP client with the program as its server.
type host struct {
	*sdk.ClientSession
	mu       sync.Mutex
	progress []string
	changed  int
	updated  []string
}

func connect(t *testing.T, folder string, env []string, args ...string) *host {
	t.Helper()
	c := program(t, slices.Concat(env, []string{"ZAI_IMAGE_STORE=" + folder}), args...)
	log := &safeBuffer{}
	c.Stderr = log
	return connectTo(t, &sdk.CommandTransport{Command: c}, log)
}

func connectTo(t *testing.T, transport sdk.Transport, log *safeBuffer) *host {
	t.Helper()
	h := &host{}
	client := sdk.NewClient(&sdk.Implementation{Name: "test-host", Version: "1"}, &sdk.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.progress = append(h.progress, r.Params.Message)
		},
		ResourceListChangedHandler: func(context.Context, *sdk.ResourceListChangedRequest) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.changed++
		},
		ResourceUpdatedHandler: func(_ context.Context, r *sdk.ResourceUpdatedNotificationRequest) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.updated = append(h.updated, r.Params.URI)
		},
	})
	session, err := client.Connect(t.Context(), transport, nil)
	require.NoError(t, err, log.String())
	h.ClientSession = session
	t.Cleanup(func() { _ = session.Close() })
	return h
}

func (h *host) call(t *testing.T, tool string, arguments map[string]any) (*sdk.CallToolResult, testrig.Structured) {
	t.Helper()
	params := &sdk.CallToolParams{Name: tool, Arguments: arguments}
	params.SetProgressToken("token")
	result, err := h.CallTool(t.Context(), params)
	require.NoError(t, err)
	return result, testrig.StructuredContent(t, result.StructuredContent)
}

func (h *host) read(t *testing.T, uri string) *sdk.ResourceContents {
	t.Helper()
	result, err := h.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
	require.NoError(t, err)
	require.NotEmpty(t, result.Contents)
	return result.Contents[0]
}

// recorder keeps the image files that a service served.
type recorder struct {
	*testrig.Service
	mu    sync.Mutex
	files map[string]bool
}

func (r *recorder) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		copied := httptest.NewRecorder()
		next.ServeHTTP(copied, q)
		if q.Method == http.MethodGet {
			r.mu.Lock()
			r.files[copied.Body.String()] = true
			r.mu.Unlock()
		}
		maps.Copy(w.Header(), copied.Header())
		w.WriteHeader(copied.Code)
		_, _ = io.Copy(w, copied.Body)
	})
}

// startAPI starts a service with the limits of the real one, and returns the
// environment of a program that uses it.
func startAPI(t *testing.T) (*recorder, []string) {
	t.Helper()
	r := &recorder{files: map[string]bool{}}
	r.Service = testrig.API(t, func(o *testrig.APIOptions) {
		o.Sandbox.Key, o.Sandbox.MaxConcurrent = "the-key", 0
		o.Wrap = r.wrap
	})
	return r, []string{"ZAI_API_KEY=the-key", "ZAI_BASE_URL=" + r.BaseURL()}
}

// The same client over HTTP: with its token, in both transports.
func TestAgent_OverHTTP(t *testing.T) {
	t.Parallel()
	s := serve(t, nil, "--auth-tokens", testrig.TokenFile(t, "alice:"+aliceToken))
	client := &http.Client{Transport: withToken{s.client.Transport}}
	for name, transport := range map[string]sdk.Transport{
		"streamable": &sdk.StreamableClientTransport{Endpoint: s.base + "/mcp", HTTPClient: client},
		"sse":        &sdk.SSEClientTransport{Endpoint: s.base + "/sse", HTTPClient: client},
	} {
		t.Run(name, func(t *testing.T) {
			h := connectTo(t, transport, s.log)
			result, made := h.call(t, "generate_image", map[string]any{"prompt": "a fox " + name, "n": 2})
			require.Len(t, made.Images, 2)
			assert.Len(t, result.Content, 5, "a text, and a preview and a link for each image")
			for _, i := range made.Images {
				original := h.read(t, i.URI)
				sum := sha256.Sum256(original.Blob)
				assert.Equal(t, i.SHA256, hex.EncodeToString(sum[:]))
				assert.Empty(t, i.Path)
				response, err := http.Get(i.DownloadURL)
				require.NoError(t, err)
				downloaded, err := io.ReadAll(response.Body)
				response.Body.Close()
				require.NoError(t, err)
				assert.Equal(t, original.Blob, downloaded)
			}
			_, err := h.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "zai-image://images/01m7wnsdj83vthhjy68qfe1hke"})
			require.Error(t, err)
			require.Eventually(t, func() bool {
				h.mu.Lock()
				defer h.mu.Unlock()
				return h.changed > 0 && len(h.progress) >= 4
			}, patience, 10*time.Millisecond)
		})
	}
}

type withToken struct{ http.RoundTripper }

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+aliceToken)
	return w.RoundTripper.RoundTrip(r)
}

// An agent generates images and reads them in all forms, also after a restart.
func TestAgent_Images(t *testing.T) {
	t.Parallel()
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
	assert.Equal(t, []string{"export_image", "generate_image", "get_image", "list_images"}, names)
	assert.Contains(t, h.InitializeResult().Instructions, "generate_image")

	result, s := h.call(t, "generate_image", map[string]any{"prompt": "a fox", "n": 3, "size": "512x512"})
	require.False(t, result.IsError)
	require.Len(t, s.Images, 3)
	require.NotNil(t, s.Sandbox)
	assert.False(t, *s.Sandbox, "a configured API is not our sandbox")
	assert.EqualValues(t, 3, api.Posts())
	for _, i := range s.Images {
		original := h.read(t, i.URI)
		assert.Equal(t, i.MIMEType, original.MIMEType)
		assert.True(t, api.files[string(original.Blob)], "the bytes that the API served")
		if !testrig.Remote() {
			onDisk, err := os.ReadFile(i.Path)
			require.NoError(t, err)
			assert.Equal(t, onDisk, original.Blob)
		}
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
	assert.Contains(t, h.progress, "image 3 of 3: queued")
	assert.Contains(t, strings.Join(h.progress, "\n"), "saved")
	h.mu.Unlock()
	require.Eventually(t, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.changed >= 3 }, patience, time.Millisecond)

	for _, uri := range []string{"zai-image://images/01m7wnsdj83vthhjy68qfe1hke", "zai-image://images/x", "zai-image://images/../../etc/passwd", "file:///etc/passwd"} {
		_, err = h.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
		var wire *jsonrpc.Error
		require.ErrorAs(t, err, &wire, uri)
		assert.Contains(t, []int64{-32002, -32602}, wire.Code, uri)
	}
	require.NoError(t, h.Close(), "exit status 0")

	h = connect(t, folder, env)
	again, s2 := h.call(t, "get_image", map[string]any{"id": s.Images[0].ID})
	require.False(t, again.IsError)
	was, is := s.Images[0], s2.Images[0]
	was.DownloadURL, was.DownloadExpiresAt, is.DownloadURL, is.DownloadExpiresAt = "", "", "", "" // a store's links are new
	assert.Equal(t, was, is, "a restart changes nothing")
	h.read(t, s.Images[0].URI)
}

// A list of more than a hundred images comes in pages.
func TestAgent_Pages(t *testing.T) {
	t.Parallel()
	_, env := startAPI(t)
	folder := t.TempDir()
	h := connect(t, folder, env)
	_, s := h.call(t, "generate_image", map[string]any{"prompt": "a fox", "size": "512x512"})
	made := map[string]bool{s.Images[0].URI: true}
	require.NoError(t, h.Close())
	for _, id := range fillCatalog(t, folder, 119) {
		made["zai-image://images/"+id] = true
	}
	require.Len(t, made, 120)
	h = connect(t, folder, env)
	var seen []string
	pages := 0
	cursor := ""
	for {
		page, err := h.ListResources(t.Context(), &sdk.ListResourcesParams{Cursor: cursor})
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
		_, err := h.ListResources(t.Context(), &sdk.ListResourcesParams{Cursor: cursor})
		var wire *jsonrpc.Error
		require.ErrorAs(t, err, &wire, cursor)
		assert.EqualValues(t, -32602, wire.Code)
	}
	completed, err := h.Complete(t.Context(), &sdk.CompleteParams{
		Ref:      &sdk.CompleteReference{Type: "ref/resource", URI: "zai-image://images/{id}"},
		Argument: sdk.CompleteParamsArgument{Name: "id", Value: seen[7][len("zai-image://images/"):][:24]},
	})
	require.NoError(t, err)
	assert.Contains(t, completed.Completion.Values, seen[7][len("zai-image://images/"):])
	none, err := h.Complete(t.Context(), &sdk.CompleteParams{
		Ref: &sdk.CompleteReference{Type: "ref/resource", URI: "zai-image://other/{id}"}, Argument: sdk.CompleteParamsArgument{Name: "id"},
	})
	require.NoError(t, err)
	assert.Empty(t, none.Completion.Values)
}

// The name that a host gives itself decides what it gets.
func TestAgent_CodexGetsNoStructuredContent(t *testing.T) {
	t.Parallel()
	_, env := startAPI(t)
	client := sdk.NewClient(&sdk.Implementation{Name: "codex-mcp-client", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &sdk.CommandTransport{Command: program(t, env)}, nil)
	require.NoError(t, err)
	defer session.Close()
	listed, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	for _, tool := range listed.Tools {
		assert.Nil(t, tool.OutputSchema)
	}
	result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "generate_image", Arguments: map[string]any{"prompt": "x", "size": "512x512"}})
	require.NoError(t, err)
	assert.Nil(t, result.StructuredContent)
	assert.Len(t, result.Content, 3)
}

// The server starts without a key and explains itself at the first call.
func TestAgent_WithoutKey(t *testing.T) {
	t.Parallel()
	h := connect(t, t.TempDir(), nil)
	_, err := h.ListTools(t.Context(), nil)
	require.NoError(t, err)
	result, s := h.call(t, "generate_image", map[string]any{"prompt": "a fox"})
	require.True(t, result.IsError)
	assert.Equal(t, resources.KindNoAPIKey, s.Error.Kind)
	assert.Contains(t, s.Error.Hint, "ZAI_API_KEY")
}

// Subscribing to an image in progress reports when it is saved.
func TestAgent_Subscription(t *testing.T) {
	t.Parallel()
	api, env := startAPI(t)
	h := connect(t, t.TempDir(), env, "--wait", "50ms")
	_, s := h.call(t, "generate_image", map[string]any{"prompt": "sandbox:delay=1h", "size": "512x512"})
	require.Equal(t, resources.StatusWorking, s.Images[0].Status)
	uri := s.Images[0].URI
	require.NoError(t, h.Subscribe(t.Context(), &sdk.SubscribeParams{URI: uri}))
	api.Close() // ends the delay
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.updated) == 1 && h.updated[0] == uri
	}, patience, time.Millisecond)
	h.read(t, uri)
}

// The largest images do not fit into one message of a host.
func TestLoad_HugeImagesFitIntoAMessage(t *testing.T) {
	needsLoad(t)
	_, env := startAPI(t)
	folder := t.TempDir()
	h := connect(t, folder, env)
	_, s := h.call(t, "generate_image", map[string]any{"prompt": "sandbox:huge", "model": "glm-image", "size": "2048x2048"})
	i := s.Images[0]
	require.Greater(t, i.Bytes, int64(9<<20))
	result, err := h.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: i.URI})
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

// fillCatalog adds n saved images without files, older than all others, and
// returns their ids.
func fillCatalog(t testing.TB, folder string, n int) (ids []string) {
	t.Helper()
	catalog := testrig.Library(t, func(o *testrig.LibraryOptions) { o.Folder = folder }).Catalog()
	rows := make([]resources.Row, n)
	for i := range rows {
		ids = append(ids, fmt.Sprintf("00%024d", i+1))
		rows[i].Image = resources.Image{
			ID: ids[i], Owner: "local", State: resources.Saved, CreatedAt: time.UnixMilli(int64(i)), Model: "m", Prompt: fmt.Sprint("image number ", i),
			Size: "1024x1024", Quality: "hd", CostMicroUSD: 10_000, Charged: true,
		}
	}
	added, err := catalog.Insert(t.Context(), rows...)
	require.NoError(t, err)
	require.Equal(t, n, added)
	return ids
}
