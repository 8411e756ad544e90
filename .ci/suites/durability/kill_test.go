package durability

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// tracedCalls are the system calls that change a disk or open a file or a
// connection.
const tracedCalls = "openat,write,pwrite64,fsync,fdatasync,ftruncate,renameat,renameat2,unlinkat,mkdirat,connect"

// The program is killed after its first traced system call, in the next run after
// its second one, and so on (with PostgreSQL and S3, after every third one). No paid
// image is lost.
func TestKilledAfterEverySystemCall(t *testing.T) {
	t.Parallel()
	needStrace(t)
	s := newService(t)
	type killed struct {
		folder, prompt string
		acked          bool
	}
	var (
		mu  sync.Mutex
		all []killed
	)
	// With PostgreSQL and S3 most calls are those of sockets.
	step, least := 1, 100
	if testrig.Remote() && !full() {
		step, least = 3, 30
	}
	next, last := 0, false
	kill := func() {
		for {
			mu.Lock()
			next += step
			n, ended := next, last
			mu.Unlock()
			if ended {
				return
			}
			k := killed{folder: t.TempDir(), prompt: fmt.Sprint("killed after call ", n)}
			out, survived := s.killAfter(t, n, k.folder, "generate", "--size", "512x512", k.prompt)
			k.acked = strings.Contains(out, "zai-image://")
			mu.Lock()
			all = append(all, k)
			last = last || survived
			mu.Unlock()
		}
	}
	var both sync.WaitGroup
	both.Go(kill)
	both.Go(kill)
	both.Wait()
	require.Greater(t, len(all), least, "the program makes many traced calls")
	time.Sleep(lease + time.Second)
	saved, acked, recovered, unknown := 0, 0, 0, 0
	for _, k := range all {
		l := open(t, k.folder)
		before := resources.Image{}
		if l.Exists() {
			before = imagesByPrompt(t, l)[k.prompt]
		}
		assert.LessOrEqual(t, len(temporaryFiles(t, k.folder)), 1, k.prompt)
		_ = s.command(t, k.folder, nil, "images", "repair").Run() // remaining problems are asserted below
		after := imagesByPrompt(t, l)[k.prompt]
		report := check(t, l)
		assert.Empty(t, report.Problems, k.prompt)
		assert.LessOrEqual(t, s.requestsFor(k.prompt), 1, k.prompt)
		if k.acked {
			acked++
			assert.Equal(t, resources.Saved, before.State, "%s: an acknowledged image is saved", k.prompt)
		}
		if before.State == resources.Answered {
			recovered++
			assert.Equal(t, resources.Saved, after.State, k.prompt)
		}
		switch after.State { //nolint:exhaustive // other states are not counted
		case resources.Saved:
			saved++
			_, err := l.Read(t.Context(), after)
			require.NoError(t, err)
		case resources.Unknown:
			unknown++
			assert.True(t, after.Charged)
		}
		if s.requestsFor(k.prompt) == 1 {
			assert.Contains(t, []resources.State{resources.Saved, resources.Unknown}, after.State, "%s: a requested image is saved or its outcome is unknown", k.prompt)
		}
	}
	t.Logf("%d kills: %d images acknowledged, %d saved after the repair (%d of them recovered by it), %d with unknown outcome", len(all), acked, saved, recovered, unknown)
	assert.Positive(t, recovered)
}

// killAfter runs the program and kills it directly after its n-th traced call.
// strace delays the return of each call, so that the thread does nothing else before
// the program is killed.
func (s *service) killAfter(t *testing.T, n int, folder string, args ...string) (stdout string, survived bool) {
	t.Helper()
	lines, report, err := os.Pipe()
	require.NoError(t, err)
	defer lines.Close()
	c := s.command(t, folder, []string{"-o", "/dev/fd/3", "-e", "trace=" + tracedCalls, "-e", "inject=" + tracedCalls + ":delay_exit=4000"}, args...)
	c.ExtraFiles = []*os.File{report}
	var out bytes.Buffer
	c.Stdout = &out
	require.NoError(t, c.Start())
	report.Close()
	pid, seen := 0, 0
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		line := scanner.Text()
		if pid == 0 {
			_, err := fmt.Sscan(line, &pid)
			require.NoError(t, err, line)
		}
		if strings.Contains(line, "resumed>") {
			continue
		}
		if seen++; seen == n {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	return out.String(), c.Wait() == nil
}

// server is the program, serving HTTP until it is killed.
type server struct {
	cmd  *exec.Cmd
	base string
}

func (s *service) serve(t *testing.T, folder string) *server {
	t.Helper()
	p := &server{cmd: s.command(t, folder, nil, "--transport", "http", "--listen", "127.0.0.1:0", "--max-concurrent", "8")}
	log, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if _, after, found := strings.Cut(lines.Text(), "msg=listening address="); found {
			address, _, _ := strings.Cut(after, " ")
			p.base = "http://" + address
			break
		}
	}
	require.NotEmpty(t, p.base)
	go func() { _, _ = io.Copy(io.Discard, log) }()
	return p
}

// generate requests an image. It fails unless the response has a saved image.
func (p *server) generate(prompt string) (id, sha string, err error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}},"name":"generate_image","arguments":{"prompt":%q,"size":"512x512"}}}`, prompt)
	request, err := http.NewRequest(http.MethodPost, p.base+"/mcp", strings.NewReader(body))
	if err != nil {
		return "", "", err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "generate_image",
	} {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	var answer struct {
		Result struct {
			StructuredContent struct {
				Images []struct{ ID, Status, SHA256 string }
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", "", err
	}
	if images := answer.Result.StructuredContent.Images; len(images) == 1 && images[0].Status == "saved" {
		return images[0].ID, images[0].SHA256, nil
	}
	return "", "", errors.New("no image")
}

// The program is killed repeatedly while eight callers use it.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	kills := 40
	if full() {
		kills = 200
	}
	longest := 200 * time.Millisecond
	if testrig.Remote() {
		longest = time.Second // the program connects to two servers first
	}
	s := newService(t)
	folder := filepath.Join(t.TempDir(), "images")
	var mu sync.Mutex
	acked := map[string]string{} // id -> hash
	calls := 0
	for range kills {
		p := s.serve(t, folder)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					mu.Lock()
					calls++
					prompt := fmt.Sprint("call ", calls)
					mu.Unlock()
					id, sha, err := p.generate(prompt)
					if err != nil {
						return
					}
					mu.Lock()
					acked[id] = sha
					mu.Unlock()
				}
			})
		}
		time.Sleep(20*time.Millisecond + rand.N(longest))
		require.NoError(t, p.cmd.Process.Kill())
		_ = p.cmd.Wait()
		all.Wait()
	}
	assert.LessOrEqual(t, len(temporaryFiles(t, folder)), kills*8, "at most the files that were being written")
	time.Sleep(lease + time.Second)
	l := open(t, folder)
	answered := 0
	for _, i := range imagesByPrompt(t, l) {
		if i.State == resources.Answered {
			answered++
		}
	}
	p := s.serve(t, folder) // recovers the images of the killed processes
	require.Eventually(t, func() bool { return working(t, l) == 0 }, 30*time.Second, 200*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait())
	report := check(t, l)
	assert.Empty(t, report.Problems)
	for id, sha := range acked {
		i, err := l.Image(t.Context(), "local", id)
		require.NoError(t, err)
		assert.Equal(t, resources.Saved, i.State)
		assert.Equal(t, sha, i.SHA256)
		_, err = l.Read(t.Context(), i)
		require.NoError(t, err)
	}
	most, total := s.counts()
	assert.Equal(t, 1, most, "no call is sent twice")
	after := imagesByPrompt(t, l)
	for prompt := range s.requests {
		assert.Contains(t, []resources.State{resources.Saved, resources.Unknown}, after[prompt].State, "%s: a requested image is saved or its outcome is unknown", prompt)
	}
	t.Logf("%d kills during %d calls: %d requests to the service, %d images acknowledged, %d at the end (%d of them recovered by the next process), %d with unknown outcome",
		kills, calls, total, len(acked), report.Images, answered, report.Unknown)
}

// working returns the number of images in progress.
func working(t *testing.T, l *resources.Library) (n int) {
	t.Helper()
	for _, i := range imagesByPrompt(t, l) {
		if i.Working() {
			n++
		}
	}
	return n
}
