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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Benchmark200Callers measures how long 200 concurrent calls take, compared
// with what --max-concurrent allows.
func Benchmark200Callers(b *testing.B) {
	const callers, concurrent, delay = 200, 20, 2 * time.Second
	for _, format := range []string{"PNG", "JPEG"} {
		b.Run(format, func(b *testing.B) {
			s := serve(b, []string{
				"ZAI_BASE_URL=" + slowUpstream(b, encoded(b, format), delay), fmt.Sprint("ZAI_IMAGE_MAX_CONCURRENT=", concurrent), "ZAI_IMAGE_LOG_LEVEL=info",
			})
			for b.Loop() {
				var all sync.WaitGroup
				for id := range callers {
					all.Go(func() {
						list := messages(b, s.do(b, "POST", "/mcp", statelessCall(id, "generate_image", fmt.Sprintf(`{"prompt":"a fox %d"}`, id)), statelessHeaders("tools/call", "generate_image")...))
						assert.Contains(b, string(list[len(list)-1].Result), `"status":"saved"`)
					})
				}
				all.Wait()
			}
			ideal := delay * callers / concurrent
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/ideal.Seconds(), "of-ideal")
			b.ReportMetric(float64(memory(b, s.cmd.Process.Pid, "VmHWM"))/(1<<20), "peak-MB")
		})
	}
}

// BenchmarkIdleSessions measures the memory of 1,000 sessions, without and with
// an open stream each.
func BenchmarkIdleSessions(b *testing.B) {
	for b.Loop() {
		s := serve(b, nil)
		var named [][]string
		for range 1000 {
			named = append(named, s.session(b))
		}
		time.Sleep(time.Second)
		b.ReportMetric(float64(memory(b, s.cmd.Process.Pid, "VmRSS"))/(1<<20), "MB")
		for _, headers := range named {
			require.Equal(b, 200, s.do(b, "GET", "/mcp", "", headers...).StatusCode)
		}
		time.Sleep(time.Second)
		b.ReportMetric(float64(memory(b, s.cmd.Process.Pid, "VmRSS"))/(1<<20), "MB-with-streams")
	}
}

// BenchmarkDownload compares downloads with nginx on the same file, in turns.
func BenchmarkDownload(b *testing.B) {
	for _, name := range []string{"nginx", "wrk"} {
		if _, err := exec.LookPath(name); err != nil {
			b.Skipf("NO %s: downloads are not compared", name)
		}
	}
	file := encoded(b, "PNG")
	s := serve(b, []string{"ZAI_BASE_URL=" + upstream(b, file)})
	_, text := s.ask(b, "POST", "/mcp", statelessCall(1, "generate_image", `{"prompt":"a fox"}`), statelessHeaders("tools/call", "generate_image")...)
	link := strings.ReplaceAll(regexp.MustCompile(`"download_url":"([^"]*)"`).FindStringSubmatch(text)[1], `\u0026`, "&")
	static := nginx(b, file)
	for _, connections := range []int{1, 16} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			var own, theirs float64
			for b.Loop() {
				own += requestsPerSecond(b, link, connections)
				theirs += requestsPerSecond(b, static, connections)
			}
			b.ReportMetric(own/float64(b.N), "requests/s")
			b.ReportMetric(theirs/float64(b.N), "nginx-requests/s")
			b.ReportMetric(own/theirs, "of-nginx")
		})
	}
}

func requestsPerSecond(b *testing.B, link string, connections int) float64 {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "wrk", "-t1", "-d3s", fmt.Sprint("-c", connections), link).CombinedOutput()
	require.NoError(b, err, string(out))
	require.NotContains(b, string(out), "Non-2xx")
	found := regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`).FindStringSubmatch(string(out))
	require.NotNil(b, found, string(out))
	n, err := strconv.ParseFloat(found[1], 64)
	require.NoError(b, err)
	return n
}

// nginx serves a file with an nginx set up for speed, and returns its URL.
func nginx(b *testing.B, file []byte) string {
	b.Helper()
	folder := b.TempDir()
	require.NoError(b, os.Chmod(folder, 0o755))
	require.NoError(b, os.WriteFile(filepath.Join(folder, "a.png"), file, 0o644))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	port := free.Addr().(*net.TCPAddr).Port
	require.NoError(b, free.Close())
	configuration := fmt.Sprintf(`daemon off; pid %[1]s/pid; worker_processes 2; error_log stderr; events {}
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; types { image/png png; }
server { listen 127.0.0.1:%[2]d; root %[1]s; } }`, folder, port)
	if os.Getuid() == 0 {
		configuration = "user root; " + configuration
	}
	path := filepath.Join(folder, "nginx.conf")
	require.NoError(b, os.WriteFile(path, []byte(configuration), 0o644))
	// Not with the benchmark's context, which kills the process at its end: the
	// workers of a killed master survive.
	c := exec.Command("nginx", "-c", path, "-p", folder)
	c.Stderr = os.Stderr
	require.NoError(b, c.Start())
	b.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
	})
	address := fmt.Sprintf("http://127.0.0.1:%d/a.png", port)
	require.Eventually(b, func() bool {
		response, err := http.Get(address)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		n, err := io.Copy(io.Discard, response.Body)
		return err == nil && n == int64(len(file))
	}, 10*time.Second, 20*time.Millisecond)
	return address
}
