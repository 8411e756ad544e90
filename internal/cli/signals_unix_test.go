//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai/sandbox"
)

// paidCall is a tools/call whose image takes a while after it is paid for.
const paidCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=800ms","size":"512x512"}}}` + "\n"

// account is an API that counts what was paid for, and a folder for images.
type account struct {
	api    *sandbox.Sandbox
	folder string
	env    []string
}

func newAccount(t *testing.T) account {
	t.Helper()
	api := sandbox.New(sandbox.Options{})
	s := httptest.NewServer(api)
	t.Cleanup(s.Close)
	folder := t.TempDir()
	return account{api, folder, []string{"ZAI_API_KEY=k", "ZAI_BASE_URL=" + s.URL + sandbox.BasePath, "ZAI_IMAGE_STORE=" + folder, "ZAI_IMAGE_LOG_FORMAT=json"}}
}

// paid waits until the API has accepted a request.
func (a account) paid(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return a.api.Accepted() == 1 }, 20*time.Second, time.Millisecond)
}

// saved asserts that the one image that was paid for is in the folder.
func (a account) saved(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(a.folder, "*", "*", "*", "*.png"))
	require.NoError(t, err)
	assert.Len(t, files, 1)
	assert.EqualValues(t, 1, a.api.Posts())
}

// A closing terminal sends SIGHUP, often twice, and the host that it ends may
// send SIGTERM after it.
func TestHangUp_FinishesPaidWork(t *testing.T) {
	for name, signals := range map[string][]syscall.Signal{
		"once": {syscall.SIGHUP}, "twice": {syscall.SIGHUP, syscall.SIGHUP}, "and SIGTERM": {syscall.SIGHUP, syscall.SIGTERM},
	} {
		t.Run("stdio "+name, func(t *testing.T) {
			a := newAccount(t)
			c := command(t, t.TempDir(), a.env)
			in, err := c.StdinPipe()
			require.NoError(t, err)
			var out bytes.Buffer
			c.Stdout = &out
			require.NoError(t, c.Start())
			_, err = io.WriteString(in, paidCall)
			require.NoError(t, err)
			a.paid(t)
			hangUp(t, c, signals)
			require.NoError(t, c.Wait(), "exit status 0")
			assert.Contains(t, out.String(), `"status":"saved"`)
			a.saved(t)
		})
		t.Run("generate "+name, func(t *testing.T) {
			a := newAccount(t)
			c := command(t, t.TempDir(), a.env, "generate", "--size", "512x512", "sandbox:delay=800ms")
			var out bytes.Buffer
			c.Stdout = &out
			require.NoError(t, c.Start())
			a.paid(t)
			hangUp(t, c, signals)
			require.NoError(t, c.Wait(), "exit status 0")
			assert.Contains(t, out.String(), "zai-image://images/", "the image is told")
			a.saved(t)
		})
	}
}

func TestHangUp_OverHTTPWithoutTokens(t *testing.T) {
	for _, transport := range []string{"http", "sse"} {
		t.Run(transport, func(t *testing.T) {
			a := newAccount(t)
			c := command(t, t.TempDir(), a.env, "--transport", transport, "--listen", "127.0.0.1:0")
			log, err := c.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			host, err := client.NewStreamableHttpClient("http://" + listening(t, log) + "/mcp")
			require.NoError(t, err)
			require.NoError(t, host.Start(t.Context()))
			_, err = host.Initialize(t.Context(), mcp.InitializeRequest{Params: mcp.InitializeParams{ProtocolVersion: mcp.LATEST_LEGACY_PROTOCOL_VERSION}})
			require.NoError(t, err)
			answered := make(chan error, 1)
			go func() {
				request := mcp.CallToolRequest{}
				request.Params.Name, request.Params.Arguments = "generate_image", map[string]any{"prompt": "sandbox:delay=800ms", "size": "512x512"}
				_, err := host.CallTool(t.Context(), request)
				answered <- err
			}()
			a.paid(t)
			hangUp(t, c, []syscall.Signal{syscall.SIGHUP})
			require.NoError(t, <-answered)
			require.NoError(t, host.Close())
			require.NoError(t, c.Wait(), "exit status 0")
			a.saved(t)
		})
	}
}

// With a file of tokens SIGHUP reads it again and ends nothing.
func TestHangUp_ReadsTokensAgain(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	write := func(token string) {
		require.NoError(t, os.WriteFile(tokens, []byte("somebody:"+token+"\n"), 0o600))
	}
	const before, after = "a-token-of-more-than-thirty-two-bytes", "another-token-of-more-than-thirty-two"
	write(before)
	c := command(t, t.TempDir(), newAccount(t).env, "--transport", "http", "--listen", "127.0.0.1:0", "--auth-tokens", tokens)
	log, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	address := listening(t, log)
	status := func(token string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		return response.StatusCode
	}
	require.NotEqual(t, http.StatusUnauthorized, status(before))
	write(after)
	hangUp(t, c, []syscall.Signal{syscall.SIGHUP})
	require.Eventually(t, func() bool {
		return status(before) == http.StatusUnauthorized && status(after) != http.StatusUnauthorized
	}, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "exit status 0")
}

// Whoever starts the program with nohup wants it to outlive the terminal.
func TestHangUp_StaysIgnoredUnderNohup(t *testing.T) {
	program := command(t, t.TempDir(), newAccount(t).env)
	c := exec.CommandContext(t.Context(), "/bin/sh", "-c", `trap "" HUP; exec "$0"`, program.Path)
	c.Env, c.WaitDelay = program.Env, program.WaitDelay
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	answers := bufio.NewReader(out)
	for id := range 3 {
		_, err = fmt.Fprintf(in, `{"jsonrpc":"2.0","id":%d,"method":"ping"}`+"\n", id)
		require.NoError(t, err)
		line, err := answers.ReadString('\n')
		require.NoError(t, err)
		assert.Contains(t, line, fmt.Sprintf(`"id":%d`, id))
		hangUp(t, c, []syscall.Signal{syscall.SIGHUP})
	}
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait())
}

// The real thing: a terminal whose window is closed.
func TestClosedTerminal_FinishesPaidWork(t *testing.T) {
	t.Run("a host's server", func(t *testing.T) {
		a := newAccount(t)
		c := command(t, t.TempDir(), a.env)
		in, err := c.StdinPipe()
		require.NoError(t, err)
		var out bytes.Buffer
		c.Stdout = &out
		const stderr = 2
		window := inTerminal(t, c, stderr)
		_, err = io.WriteString(in, paidCall)
		require.NoError(t, err)
		a.paid(t)
		require.NoError(t, window.Close())
		require.NoError(t, c.Wait(), "exit status 0")
		assert.Contains(t, out.String(), `"status":"saved"`)
		a.saved(t)
	})
	t.Run("generate", func(t *testing.T) {
		a := newAccount(t)
		c := command(t, t.TempDir(), a.env, "generate", "--size", "512x512", "sandbox:delay=800ms")
		window := inTerminal(t, c, 0)
		a.paid(t)
		require.NoError(t, window.Close())
		require.NoError(t, c.Wait(), "exit status 0")
		a.saved(t)
	})
}

// Control-C at a question ends the command, and changes nothing.
func TestConfig_InterruptedQuestion(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".cursor", "mcp.json")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
	const before = `{"mcpServers":{"zai-image":{"command":"npx"}}}`
	require.NoError(t, os.WriteFile(file, []byte(before), 0o600))
	c := command(t, home, nil, "config", "cursor", "--write")
	window := inTerminal(t, c, 0)
	defer window.Close()
	shown := bufio.NewReader(window)
	for line := ""; !strings.Contains(line, "[y/N]"); {
		b, err := shown.ReadByte()
		require.NoError(t, err)
		line += string(b)
	}
	_, err := window.WriteString("\x03")
	require.NoError(t, err)
	require.Error(t, c.Wait())
	assert.Equal(t, 1, c.ProcessState.ExitCode())
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.True(t, bytes.Equal([]byte(before), after), "%s", after)
}

// inTerminal starts a command as the leader of a terminal's session. What of
// its streams is not set is that terminal; fd is one of them.
func inTerminal(t *testing.T, c *exec.Cmd, fd int) (window *os.File) {
	t.Helper()
	window, err := pty.StartWithAttrs(c, nil, &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: fd})
	require.NoError(t, err)
	return window
}

func hangUp(t *testing.T, c *exec.Cmd, signals []syscall.Signal) {
	t.Helper()
	for _, s := range signals {
		if err := c.Process.Signal(s); err != nil {
			require.ErrorContains(t, err, "finished")
		}
	}
}
