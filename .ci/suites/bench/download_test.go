package bench

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// BenchmarkDownload compares downloads of a picture of 1.5 MB, on one connection and on 16,
// with nginx.
func BenchmarkDownload(b *testing.B) {
	for _, tool := range []string{"nginx", "wrk"} {
		if _, err := exec.LookPath(tool); err != nil {
			notTested(b, tool+" is missing")
			b.SkipNow()
		}
	}
	file := picture(b, "PNG")
	s := start(b, product, options{transport: web, api: upstream(b, file, 0)})
	id := s.generateFirst(b, file)
	answer := testrig.ParseMessage(b, s.ask(b, "tools/call", fmt.Sprintf(`{"name":"get_image","arguments":{"id":%q}}`, id))).ToolResult(b)
	links := map[string]string{product.name: answer.StructuredContent.Images[0].DownloadURL, "nginx": nginx(b, file)}
	for _, link := range links {
		require.Equal(b, len(file), download(b, link))
	}
	for _, connections := range []int{1, 16} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			speed := figures{}
			rounds(b, func() {
				for name, link := range links {
					speed.add(name, requestsPerSecond(b, link, connections))
				}
			})
			speed.report(b, "requests", "per-s")
		})
	}
}

// download returns the number of bytes that a URL serves.
func download(b *testing.B, link string) int {
	b.Helper()
	response, err := http.Get(link)
	require.NoError(b, err)
	defer response.Body.Close()
	require.Equal(b, http.StatusOK, response.StatusCode)
	n, err := io.Copy(io.Discard, response.Body)
	require.NoError(b, err)
	return int(n)
}

var rateOfWrk = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)

func requestsPerSecond(b *testing.B, link string, connections int) float64 {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "wrk", "-t1", "-d1s", fmt.Sprint("-c", connections), link).CombinedOutput()
	require.NoError(b, err, string(out))
	require.NotContains(b, string(out), "Non-2xx")
	require.NotContains(b, string(out), "Socket errors")
	found := rateOfWrk.FindSubmatch(out)
	require.NotNil(b, found, string(out))
	n, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(b, err)
	return n
}

// nginx serves a file with an nginx that is set up for speed, and returns the URL.
func nginx(b *testing.B, file []byte) string {
	b.Helper()
	folder := b.TempDir()
	require.NoError(b, os.WriteFile(filepath.Join(folder, "picture.png"), file, 0o600))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	address := free.Addr().String()
	require.NoError(b, free.Close())
	configuration := fmt.Sprintf(`daemon off; pid %[1]s/pid; worker_processes 2; error_log stderr; events {}
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; types { image/png png; }
server { listen %[2]s; root %[1]s; } }`, folder, address)
	if os.Getuid() == 0 {
		configuration = "user root; " + configuration
	}
	path := filepath.Join(folder, "nginx.conf")
	require.NoError(b, os.WriteFile(path, []byte(configuration), 0o600))
	// A context would kill the process at the end, and the workers would survive.
	c := exec.Command("nginx", "-c", path, "-p", folder)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // if the benchmarks are killed
	var log testrig.Buffer
	c.Stderr = &log
	require.NoError(b, c.Start())
	b.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
	})
	require.Eventually(b, func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond, "nginx does not listen")
	return (&url.URL{Scheme: "http", Host: address, Path: "picture.png"}).String()
}
