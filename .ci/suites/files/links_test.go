package files

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// Over HTTP there is no project: an export is a resource and a signed link, which supports
// ETag and ranges, and other programs read what it serves.
func TestLink_Export(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	c := testrig.Command(t, append(s.Env(), "ZAI_IMAGE_STORE="+t.TempDir(), "ZAI_IMAGE_LOG_FORMAT=json"), "--transport", "http", "--listen", "127.0.0.1:0")
	log, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
	})
	base := "http://" + testrig.Listening(t, log)
	session, err := sdk.NewClient(&sdk.Implementation{Name: "files", Version: "1"}, nil).Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: base + "/mcp"}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() })
	h := &host{ClientSession: session}

	original := h.generate(t, prompt, "512x512")
	e := h.call(t, "export_image", arguments{"id": original.ID, "size": "300x200"}).Images[0]
	assert.Empty(t, e.SavedAs)
	assert.Empty(t, e.Path)
	status, header, file := get(t, e.DownloadURL, nil)
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, e.SHA256, hash(file))
	assert.Equal(t, "image/png", header.Get("Content-Type"))
	assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	path := write(t, "export.png", file)
	assert.Equal(t, facts{"png", 300, 200, false}, look(t, path))
	checkLabel(t, read(t, path), original, "download")

	tag := header.Get("ETag")
	require.NotEmpty(t, tag)
	status, _, _ = get(t, e.DownloadURL, map[string]string{"If-None-Match": tag})
	assert.Equal(t, http.StatusNotModified, status)
	status, _, part := get(t, e.DownloadURL, map[string]string{"Range": "bytes=10-19", "If-Range": tag})
	assert.Equal(t, http.StatusPartialContent, status)
	assert.Equal(t, file[10:20], part)

	blob, err := h.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: e.URI})
	require.NoError(t, err)
	assert.Equal(t, e.SHA256, hash(blob.Contents[0].Blob))

	// The signature is that of this file, not of another one.
	other := h.call(t, "export_image", arguments{"id": original.ID, "size": "200x300"}).Images[0]
	status, _, _ = get(t, swapQuery(e.DownloadURL, other.DownloadURL), nil)
	assert.GreaterOrEqual(t, status, 400)

	r, err := h.try(t, "export_image", arguments{"id": original.ID, "save_as": "x.png"})
	require.NoError(t, err)
	assert.True(t, r.isError)
	assert.Equal(t, "invalid_argument", r.Error.Kind, r.text)
	posts := s.Posts()
	r, err = h.try(t, "generate_image", arguments{"prompt": "x", "save_as": "x.png"})
	require.NoError(t, err)
	assert.Equal(t, "invalid_argument", r.Error.Kind, r.text)
	assert.Equal(t, posts, s.Posts())
}

// get returns the response to a GET.
func get(t *testing.T, link string, header map[string]string) (int, http.Header, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	require.NoError(t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, body
}

// swapQuery returns the first link with the query, and with it the signature, of the
// second one.
func swapQuery(a, b string) string {
	path, _, _ := strings.Cut(a, "?")
	_, query, _ := strings.Cut(b, "?")
	return path + "?" + query
}
