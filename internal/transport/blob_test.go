package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	client "github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/resources"
)

// blobHandler answers every request with the same result.
type blobHandler struct {
	*handler
	result any
}

type blobAnswer struct {
	answer
	result any
}

func (h blobHandler) Begin(*transport.Request) transport.Call { return blobAnswer{result: h.result} }
func (a blobAnswer) Run(context.Context) mcp.JSONRPCMessage {
	return mcp.JSONRPCResponse{Result: a.result}
}

const readLine = `{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"x"}}`

// overStdio returns what the host gets as the response to readLine.
func overStdio(t *testing.T, h transport.Handler) string {
	t.Helper()
	var out bytes.Buffer
	serveStdio(t, h, readLine+"\n", &out)
	line, ended := strings.CutSuffix(out.String(), "\n")
	assert.True(t, ended)
	return line
}

func serveStdio(t *testing.T, h transport.Handler, in string, out io.Writer) {
	t.Helper()
	s, err := transport.OpenStdio(t.Context(), h, strings.NewReader(in), out, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, s.Read(t.Context()))
	s.Finish(t.Context())
}

// blobServer serves the endpoints of HTTP to a local client.
func blobServer(t *testing.T, h transport.Handler) string {
	t.Helper()
	web := transport.NewHTTP(transport.HTTPConfig{Handler: h, Limits: limit.Default(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	for path, serve := range map[string]http.HandlerFunc{"/mcp": web.ServeMCP, "/sse": web.ServeSSE, "/message": web.ServeMessages} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			serve(w, r.WithContext(transport.WithCaller(r.Context(), transport.Caller{Principal: auth.Local()})))
		})
	}
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		web.StopAccepting()
		web.Finish(context.Background())
		s.Close()
	})
	return s.URL
}

func do(t *testing.T, method, url, body string, headers ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// overStreamable posts readLine in a session.
func overStreamable(t *testing.T, h transport.Handler, accept string) (*http.Response, string) {
	t.Helper()
	url := blobServer(t, h) + "/mcp"
	session := do(t, http.MethodPost, url, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`).Header.Get(mcp.HeaderSessionID)
	response := do(t, http.MethodPost, url, readLine, mcp.HeaderSessionID, session, "Accept", accept)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

func overJSON(t *testing.T, h transport.Handler) string {
	t.Helper()
	response, body := overStreamable(t, h, "application/json")
	assert.EqualValues(t, len(body), response.ContentLength)
	assert.Empty(t, response.TransferEncoding)
	return strings.TrimSuffix(body, "\n")
}

func overStream(t *testing.T, h transport.Handler) string {
	t.Helper()
	_, body := overStreamable(t, h, "text/event-stream")
	assert.True(t, strings.HasSuffix(body, "\n\n"))
	return strings.TrimSuffix(strings.TrimPrefix(body, "event: message\ndata: "), "\n\n")
}

func overSSE(t *testing.T, h transport.Handler) string {
	t.Helper()
	url := blobServer(t, h)
	events := bufio.NewReader(do(t, http.MethodGet, url+"/sse", "").Body)
	data := func() string {
		for {
			line, err := events.ReadString('\n')
			require.NoError(t, err)
			if text, ok := strings.CutPrefix(line, "data: "); ok {
				return strings.TrimSuffix(text, "\n")
			}
		}
	}
	endpoint := data()
	require.Equal(t, http.StatusAccepted, do(t, http.MethodPost, url+endpoint, readLine).StatusCode)
	return data()
}

func inProcess(t *testing.T, h transport.Handler) string {
	t.Helper()
	c := transport.NewInProcess(h, slog.New(slog.DiscardHandler))
	require.NoError(t, c.Start(t.Context()))
	defer c.Close()
	response, err := c.SendRequest(t.Context(), client.JSONRPCRequest{JSONRPC: "2.0", ID: mcp.NewRequestId(7), Method: "resources/read"})
	require.NoError(t, err)
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"result":%s}`, response.Result)
}

// transports answer readLine.
func transports() map[string]func(*testing.T, transport.Handler) string {
	return map[string]func(*testing.T, transport.Handler) string{
		"stdio": overStdio, "JSON": overJSON, "stream": overStream, "SSE": overSSE, "in process": inProcess,
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

func blobOf(uri string, data []byte) resources.Blob {
	return resources.Blob{
		BlobResourceContents: mcp.BlobResourceContents{URI: uri, MIMEType: "image/png", Meta: map[string]any{"blob": "", "x": `"blob":""`}}, Data: data,
	}
}

// Blobs that bypass the JSON encoder have the JSON that it makes.
func TestTransports_Blob(t *testing.T) {
	t.Parallel()
	text := mcp.TextResourceContents{URI: "t", Text: `"blob":""`}
	results := map[string]struct{ given, same []mcp.ResourceContents }{
		"none": {[]mcp.ResourceContents{}, []mcp.ResourceContents{}},
		"text": {[]mcp.ResourceContents{text}, []mcp.ResourceContents{text}},
	}
	for _, size := range []int{0, 1, 2, 3, 48<<10 - 1, 48 << 10, 48<<10 + 1, 1_500_000} {
		blob := blobOf(`odd "blob":"" uri`, pattern(size))
		encoded := blob.BlobResourceContents
		encoded.Blob = base64.StdEncoding.EncodeToString(blob.Data)
		results[fmt.Sprint(size)] = struct{ given, same []mcp.ResourceContents }{
			[]mcp.ResourceContents{blob, text, blob}, []mcp.ResourceContents{encoded, text, encoded},
		}
	}
	for name, exchange := range transports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for size, contents := range results {
				result, err := json.Marshal(mcp.ReadResourceResult{Contents: contents.same})
				require.NoError(t, err)
				want := `{"jsonrpc":"2.0","id":7,"result":` + string(result) + `}`
				got := exchange(t, blobHandler{&handler{}, &mcp.ReadResourceResult{Contents: contents.given}})
				if got != want { // assert.Equal would compare megabytes line by line
					assert.Fail(t, "wrong message", "size %s: %d bytes, want %d", size, len(got), len(want))
				}
			}
		})
	}
}

// countingWriter counts writes, and fails after a number of bytes.
type countingWriter struct {
	bytes.Buffer
	writes, room int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes++
	n := min(len(p), w.room-w.Len())
	w.Buffer.Write(p[:n])
	if n < len(p) {
		return n, errors.New("the host is gone")
	}
	return n, nil
}

// A small message is one write, and a large one has one for each 64 KiB.
func TestStdio_Writes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ size, writes int }{{0, 1}, {30_000, 1}, {1_500_000, 31}} {
		out := &countingWriter{room: 10 << 20}
		serveStdio(t, blobHandler{&handler{}, &mcp.ReadResourceResult{Contents: []mcp.ResourceContents{blobOf("x", pattern(tt.size))}}}, readLine+"\n", out)
		assert.Equal(t, tt.writes, out.writes, tt.size)
	}
}

// After a message that broke off no other one is written.
func TestStdio_WriteFails(t *testing.T) {
	t.Parallel()
	h := blobHandler{&handler{}, &mcp.ReadResourceResult{Contents: []mcp.ResourceContents{blobOf("x", pattern(300_000))}}}
	whole := overStdio(t, h)
	out := &countingWriter{room: 200_000}
	serveStdio(t, h, readLine+"\n"+strings.Replace(readLine, "7", "8", 1)+"\n"+strings.Replace(readLine, "7", "9", 1)+"\n", out)
	assert.Equal(t, out.room, out.Len())
	for _, id := range []string{"8", "9"} { // requests are answered in any order
		if strings.HasPrefix(out.String(), `{"jsonrpc":"2.0","id":`+id) {
			whole = strings.Replace(whole, "7", id, 1)
		}
	}
	assert.True(t, strings.HasPrefix(whole, out.String()))
}

// A client that stops reading in the middle of an event gets no other message in it.
func TestSSE_BlobInterrupted(t *testing.T) {
	t.Parallel()
	url := blobServer(t, blobHandler{&handler{}, &mcp.ReadResourceResult{Contents: []mcp.ResourceContents{blobOf("x", pattern(9_000_000))}}})
	events := bufio.NewReader(do(t, http.MethodGet, url+"/sse", "").Body)
	line := func() string {
		text, err := events.ReadString('\n')
		require.NoError(t, err)
		return strings.TrimSuffix(text, "\n")
	}
	line()
	endpoint := strings.TrimPrefix(line(), "data: ")
	line()
	const requests = 3
	for id := range requests {
		require.Equal(t, http.StatusAccepted, do(t, http.MethodPost, url+endpoint, strings.Replace(readLine, "7", fmt.Sprint(id), 1)).StatusCode)
	}
	_, err := events.Peek(1000) // and while the first one waits, the others do too
	require.NoError(t, err)
	for range requests {
		assert.Equal(t, "event: message", line())
		assert.True(t, json.Valid([]byte(strings.TrimPrefix(line(), "data: "))))
		assert.Empty(t, line())
	}
}
