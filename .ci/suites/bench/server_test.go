package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"zai-image-mcp/internal/testrig"
)

// Transports between servers and the benchmarks.
const (
	stdio = "stdio"
	web   = "http"
)

// client sends requests to a server. Requests may run concurrently.
type client interface {
	// request sends a request and passes the response to read, which must not keep it.
	request(method, params string, read func(response []byte) error) error
	close()
}

// server is a running program with a client.
type server struct {
	program
	client
	folder  string // of its images
	project string // of files that it exports

	process *exec.Cmd
	log     testrig.Buffer
	prompts atomic.Int64 // so that no two calls are equal: the program would join them
}

// options configure a server.
type options struct {
	transport string
	api       string   // URL
	folder    string   // "" for an empty one
	env       []string // further variables
}

// start starts a server, and returns when its client is connected. The server is killed
// at the end of the benchmark.
func start(b *testing.B, p program, o options) *server {
	b.Helper()
	s := &server{program: p, folder: o.folder, project: b.TempDir()}
	if s.folder == "" {
		s.folder = b.TempDir()
	}
	s.process = exec.CommandContext(b.Context(), p.command[0], p.command[1:]...)
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the benchmarks are killed
	s.process.Env = append([]string{
		"HOME=" + s.folder, "PATH=" + os.Getenv("PATH"), "ZAI_IMAGE_STORE=" + s.folder, "ZAI_IMAGE_PROJECT=" + s.project,
		"ZAI_API_KEY=key", "ZAI_BASE_URL=" + o.api, "ZAI_IMAGE_DAILY_BUDGET=0", "ZAI_IMAGE_MAX_CONCURRENT=64",
		"ZAI_IMAGE_TRANSPORT=" + o.transport, "ZAI_IMAGE_LISTEN=127.0.0.1:0", "ZAI_IMAGE_LOG_FORMAT=json",
		"ZAI_BENCH_SHARP=" + os.Getenv("ZAI_BENCH_SHARP"),
	}, o.env...)
	b.Cleanup(s.stop)
	b.Cleanup(func() {
		if b.Failed() {
			const end = 2000
			text := s.log.String()
			b.Logf("%s logged at the end:\n%s", p.name, text[max(0, len(text)-end):])
		}
	})
	if o.transport == stdio {
		s.startStdio(b)
	} else {
		s.startWeb(b)
	}
	return s
}

func (s *server) startStdio(b *testing.B) {
	b.Helper()
	s.process.Stderr = &s.log
	in, err := s.process.StdinPipe()
	require.NoError(b, err)
	out, err := s.process.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, s.process.Start())
	s.client, err = newPipes(in, out)
	require.NoError(b, err)
}

func (s *server) startWeb(b *testing.B) {
	b.Helper()
	log, err := s.process.StderrPipe()
	require.NoError(b, err)
	require.NoError(b, s.process.Start())
	address := testrig.Listening(b, io.TeeReader(log, &s.log))
	s.client, err = newSession(address)
	require.NoError(b, err)
}

// stop kills the server. It may be called twice.
func (s *server) stop() {
	if s.process.Process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	if s.client != nil {
		s.close()
	}
}

// ask sends a request, and returns the response.
func (s *server) ask(b *testing.B, method, params string) []byte {
	b.Helper()
	var kept []byte
	err := s.request(method, params, func(response []byte) error {
		kept = bytes.Clone(response)
		return nil
	})
	require.NoError(b, err, s.name)
	return kept
}

// cpu returns the processor time that the server has used. See clock_getcpuclockid(3): the
// clock of another process is precise to nanoseconds, and its time in /proc to 10 ms.
func (s *server) cpu(b *testing.B) time.Duration {
	b.Helper()
	const schedulerClock = 2
	var used unix.Timespec
	require.NoError(b, unix.ClockGettime(int32(^s.process.Process.Pid<<3|schedulerClock), &used))
	return time.Duration(used.Nano())
}

// memory returns a figure from the server's /proc/PID/status, like VmRSS, in MiB.
func (s *server) memory(b *testing.B, name string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	require.NoError(b, err)
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kilobytes, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			require.NoError(b, err)
			return float64(kilobytes) / 1024
		}
	}
	require.Fail(b, "no "+name)
	return 0
}
