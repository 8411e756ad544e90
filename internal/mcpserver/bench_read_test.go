package mcpserver_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkReadBlob reads an image of 1.5 MB as an MCP resource, over stdio and
// Streamable HTTP, in turns with a minimal server on mcp-go. The client only
// looks for the end of the answer, so it costs both the same and little.
func BenchmarkReadBlob(b *testing.B) {
	file := encoded(b, "PNG")
	path := filepath.Join(b.TempDir(), "a.png")
	require.NoError(b, os.WriteFile(path, file, 0o600))
	product, minimal := build(b, "zai-image-mcp"), build(b, "./testdata/minimal")
	api, folder := upstream(b, file), b.TempDir()
	p := launch(b, product, folder, api)
	p.generate(b)
	uri := regexp.MustCompile(`zai-image://images/\w{26}`).FindString(string(p.answer(b)))
	b.Run("stdio", func(b *testing.B) {
		m := launch(b, minimal, b.TempDir(), api, path)
		compareReads(b, len(file), p.reader(b, uri), m.reader(b, "file://"+path))
		m.stop(b)
	})
	p.stop(b)
	b.Run("http", func(b *testing.B) {
		own := serveHTTP(b, exec.CommandContext(b.Context(), product, "serve", "--transport=http", "--listen"), folder)
		theirs := serveHTTP(b, exec.CommandContext(b.Context(), minimal, path), folder)
		compareReads(b, len(file), httpReader(b, own, uri), httpReader(b, theirs, "file://"+path))
	})
}

// compareReads reads with both servers in turns, and reports how many MB of the
// file each delivers per second.
func compareReads(b *testing.B, size int, own, theirs func() (answer int)) {
	var times [2]time.Duration
	for b.Loop() {
		for i, read := range []func() int{own, theirs} {
			const inARow = 8
			for range inARow {
				began := time.Now()
				require.Greater(b, read(), size)
				times[i] += time.Since(began) / inARow
			}
		}
	}
	speed := func(i int) float64 { return float64(size) * float64(b.N) / 1e6 / times[i].Seconds() }
	b.ReportMetric(speed(0), "MB/s")
	b.ReportMetric(speed(1), "minimal-MB/s")
	b.ReportMetric(speed(0)/speed(1), "of-minimal")
}

func readRequest(uri string) string { return fmt.Sprintf(`{"uri":%q}`, uri) }

// reader returns a function that reads a resource and returns the size of the
// answer.
func (p *process) reader(b *testing.B, uri string) func() int {
	return func() int {
		p.send(b, "resources/read", readRequest(uri))
		size := 0
		for {
			part, err := p.out.ReadSlice('\n')
			size += len(part)
			if err == nil {
				return size
			}
			require.ErrorContains(b, err, "buffer full")
		}
	}
}

// serveHTTP starts a server, whose last argument is its address, on a free port
// and returns its URL.
func serveHTTP(b *testing.B, c *exec.Cmd, folder string) string {
	b.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	address := free.Addr().String()
	require.NoError(b, free.Close())
	c.Args = append(c.Args, address)
	c.Env = []string{"HOME=" + folder, "ZAI_IMAGE_STORE=" + folder, "ZAI_API_KEY=k", "ZAI_IMAGE_LOG_LEVEL=error"}
	require.NoError(b, c.Start())
	b.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	require.Eventually(b, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	return "http://" + address + "/mcp"
}

// httpReader returns a function that reads a resource and returns the size of
// the answer.
func httpReader(b *testing.B, url, uri string) func() int {
	session, buffer := "", make([]byte, 1<<20)
	post := func(body string) (answer int) {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(body))
		require.NoError(b, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			request.Header.Set("Mcp-Session-Id", session)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(b, err)
		defer response.Body.Close()
		require.Equal(b, http.StatusOK, response.StatusCode)
		session = response.Header.Get("Mcp-Session-Id") + session
		for {
			n, err := response.Body.Read(buffer)
			answer += n
			if err == io.EOF {
				return answer
			}
			require.NoError(b, err)
		}
	}
	post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)
	read := `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":` + readRequest(uri) + `}`
	return func() int { return post(read) }
}
