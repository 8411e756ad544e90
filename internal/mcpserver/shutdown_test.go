package mcpserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// service is the real binary, serving HTTP.
type service struct {
	*webRig
	cmd *exec.Cmd
}

func serve(t testing.TB, env []string, args ...string) *service {
	t.Helper()
	s := &service{webRig: &webRig{
		sandbox: testrig.API(t), log: &safeBuffer{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}},
	}}
	env = append([]string{"ZAI_API_KEY=test-key", "ZAI_BASE_URL=" + s.sandbox.BaseURL(), "ZAI_IMAGE_DAILY_BUDGET=0", "ZAI_IMAGE_LISTEN=127.0.0.1:0", "ZAI_IMAGE_TRANSPORT=sse"}, env...)
	s.cmd = testrig.Command(t, append(env, "ZAI_IMAGE_STORE="+t.TempDir()), args...)
	stderr, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	address := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintln(s.log, lines.Text())
			if found := regexp.MustCompile(`msg=listening address=(\S+)`).FindStringSubmatch(lines.Text()); found != nil {
				address <- found[1]
			}
		}
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-drained
		_ = s.cmd.Wait()
		s.client.CloseIdleConnections()
	})
	select {
	case a := <-address:
		s.base = "http://" + a
	case <-drained:
		require.Fail(t, "the program ended", s.log.String())
	case <-time.After(patience):
		require.Fail(t, "the program does not listen", s.log.String())
	}
	return s
}

// At SIGTERM every call is answered: what was sent becomes an image, what was
// not is not charged.
func TestProgram_SIGTERMAnswersAllCalls(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	calls, concurrent := 16, 6
	if os.Getenv("ZAI_TEST_FULL") != "" {
		calls, concurrent = 50, 30
	}
	s := serve(t, []string{fmt.Sprint("ZAI_IMAGE_MAX_CONCURRENT=", concurrent)})
	saved, refused := 0, 0
	var mu sync.Mutex
	var all sync.WaitGroup
	named := s.session(t)
	for id := range calls {
		all.Go(func() {
			body, headers := generate(id, fmt.Sprint("sandbox:delay=1h ", id)), named
			if id%2 == 1 {
				body, headers = statelessCall(id, "generate_image", fmt.Sprintf(`{"prompt":"sandbox:delay=1h %d"}`, id)), statelessHeaders("tools/call", "generate_image")
			}
			list := messages(t, s.do(t, "POST", "/mcp", body, headers...))
			text := string(list[len(list)-1].Result)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.Contains(text, `"status":"saved"`):
				saved++
			case strings.Contains(text, `"kind":"cancelled"`):
				refused++
			default:
				assert.Fail(t, "an answer of another kind", text)
			}
		})
	}
	require.Eventually(t, func() bool {
		_, text := s.ask(t, "GET", "/metrics", "")
		return s.sandbox.Accepted() == int64(concurrent) && strings.Contains(text, fmt.Sprintf("\nzai_image_queue_length %d\n", calls-concurrent))
	}, patience, 5*time.Millisecond)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return refused == calls-concurrent }, patience, time.Millisecond)
	s.sandbox.Close() // ends the delays
	all.Wait()
	state, err := s.cmd.Process.Wait()
	require.NoError(t, err)
	assert.Zero(t, state.ExitCode(), s.log.String())
	assert.Equal(t, concurrent, saved, "nothing new was sent")
	assert.EqualValues(t, concurrent, s.sandbox.Posts())
	assert.Equal(t, calls, saved+refused)
}

// A second signal ends the program at once, although an image is being made.
func TestProgram_SecondSignal(t *testing.T) {
	needsSignals(t)
	t.Parallel()
	s := serve(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "POST", s.base+"/mcp", strings.NewReader(statelessCall(1, "generate_image", `{"prompt":"sandbox:delay=1h x"}`)))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	headers := statelessHeaders("tools/call", "generate_image")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	go func() {
		if response, err := s.client.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	}()
	require.Eventually(t, func() bool { return s.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "msg=ending") }, patience, time.Millisecond)
	ended := make(chan *os.ProcessState, 1)
	go func() {
		state, err := s.cmd.Process.Wait()
		assert.NoError(t, err)
		ended <- state
	}()
	// The line may be logged before a second signal ends the program.
	require.Eventually(t, func() bool {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		return len(ended) == 1
	}, patience, 20*time.Millisecond)
	assert.NotZero(t, (<-ended).ExitCode())
}

// The program listens beyond loopback only with tokens.
func TestProgram_Exposure(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		c := program(t, []string{"ZAI_IMAGE_SANDBOX=1"}, "--transport", "http", "--listen", listen)
		out, err := c.CombinedOutput()
		require.Error(t, err)
		assert.Equal(t, 2, c.ProcessState.ExitCode())
		assert.Contains(t, string(out), "--auth-tokens")
		assert.NotContains(t, string(out), "msg=listening")
	}
	s := serve(t, nil, "--listen", "0.0.0.0:0", "--auth-tokens", testrig.TokenFile(t, "alice:"+aliceToken))
	s.base = strings.Replace(s.base, "[::]", "127.0.0.1", 1)
	status, _ := s.ask(t, "GET", "/readyz", "", bearer(aliceToken)...)
	assert.Equal(t, 200, status)
	status, _ = s.ask(t, "GET", "/readyz", "")
	assert.Equal(t, 401, status)
	needsSignals(t)
	// SIGHUP reloads the tokens and ends nothing.
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "reloaded the tokens") }, patience, time.Millisecond)
	status, _ = s.ask(t, "GET", "/healthz", "")
	assert.Equal(t, 200, status)
}
