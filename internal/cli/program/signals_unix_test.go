//go:build unix

package program_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
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

	"zai-image-mcp/internal/testrig"
)

// paidCall is a tools/call whose image is finished only some time after the
// payment, so that signals arrive in between.
const paidCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=300ms","size":"512x512"}}}` + "\n"

// account is a sandbox that counts requests, a folder for images, and an
// environment that makes the program use both.
type account struct {
	api    *testrig.Service
	folder string
	env    []string
}

func newAccount(t *testing.T) account {
	t.Helper()
	api, folder := testrig.API(t), t.TempDir()
	return account{api, folder, append(api.Env(), "ZAI_IMAGE_STORE="+folder, "ZAI_IMAGE_LOG_FORMAT=json")}
}

// waitForPayment waits until the API has accepted a request.
func (a account) waitForPayment(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return a.api.Accepted() == 1 }, 20*time.Second, time.Millisecond)
}

// assertSaved asserts that one image was paid for and is in the folder.
func (a account) assertSaved(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(a.folder, "*", "*", "*", "*.png"))
	require.NoError(t, err)
	assert.Len(t, files, 1)
	assert.EqualValues(t, 1, a.api.Posts())
}

// When a terminal closes, the program gets SIGHUP, often twice. The host, which
// the signal ends too, may then send SIGTERM.
func TestHangUp_FinishesPaidWork(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string][]syscall.Signal{
		"SIGHUP": {syscall.SIGHUP}, "SIGHUP twice": {syscall.SIGHUP, syscall.SIGHUP}, "SIGHUP and SIGTERM": {syscall.SIGHUP, syscall.SIGTERM},
	} {
		t.Run("stdio "+name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			c := command(t, t.TempDir(), a.env)
			in, err := c.StdinPipe()
			require.NoError(t, err)
			var out bytes.Buffer
			c.Stdout = &out
			require.NoError(t, c.Start())
			_, err = io.WriteString(in, paidCall)
			require.NoError(t, err)
			a.waitForPayment(t)
			sendAll(t, c, signals)
			require.NoError(t, c.Wait(), "exit status 0")
			assert.Contains(t, out.String(), `"status":"saved"`)
			a.assertSaved(t)
		})
		t.Run("generate "+name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			c := command(t, t.TempDir(), a.env, "generate", "--size", "512x512", "sandbox:delay=300ms")
			var out bytes.Buffer
			c.Stdout = &out
			require.NoError(t, c.Start())
			a.waitForPayment(t)
			sendAll(t, c, signals)
			require.NoError(t, c.Wait(), "exit status 0")
			assert.Contains(t, out.String(), "zai-image://images/", "the image is printed")
			a.assertSaved(t)
		})
	}
}

// Without a token file, SIGHUP ends the server after paid work is finished.
func TestHangUp_OverHTTPWithoutTokens(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"http", "sse"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			c := command(t, t.TempDir(), a.env, "--transport", transport, "--listen", "127.0.0.1:0")
			log, err := c.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			host, err := client.NewStreamableHttpClient("http://" + testrig.Listening(t, log) + "/mcp")
			require.NoError(t, err)
			require.NoError(t, host.Start(t.Context()))
			_, err = host.Initialize(t.Context(), mcp.InitializeRequest{Params: mcp.InitializeParams{ProtocolVersion: mcp.LATEST_LEGACY_PROTOCOL_VERSION}})
			require.NoError(t, err)
			results := make(chan error, 1)
			go func() {
				request := mcp.CallToolRequest{}
				request.Params.Name, request.Params.Arguments = "generate_image", map[string]any{"prompt": "sandbox:delay=300ms", "size": "512x512"}
				_, err := host.CallTool(t.Context(), request)
				results <- err
			}()
			a.waitForPayment(t)
			sendAll(t, c, []syscall.Signal{syscall.SIGHUP})
			require.NoError(t, <-results)
			require.NoError(t, host.Close())
			require.NoError(t, c.Wait(), "exit status 0")
			a.assertSaved(t)
		})
	}
}

// With a token file, SIGHUP makes the server reload the file and not exit.
func TestHangUp_ReloadsTokens(t *testing.T) {
	t.Parallel()
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
	address := testrig.Listening(t, log)
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
	sendAll(t, c, []syscall.Signal{syscall.SIGHUP})
	require.Eventually(t, func() bool {
		return status(before) == http.StatusUnauthorized && status(after) != http.StatusUnauthorized
	}, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "exit status 0")
}

// Without a token file, SIGHUP makes a server with quotas reload them.
func TestHangUp_ReloadsQuotas(t *testing.T) {
	t.Parallel()
	quotas := filepath.Join(t.TempDir(), "quotas")
	require.NoError(t, os.WriteFile(quotas, []byte("* pictures=5\n"), 0o600))
	c, log, _ := startServer(t, "--quotas", quotas)
	sendAll(t, c, []syscall.Signal{syscall.SIGHUP})
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "reloaded the quotas") }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "exit status 0")
}

// Without a token file, SIGHUP does not end a server with an issuer of access tokens.
func TestHangUp_WithIssuer(t *testing.T) {
	t.Parallel()
	c, _, address := startServer(t, "--oidc-issuer", "http://127.0.0.1:1")
	sendAll(t, c, []syscall.Signal{syscall.SIGHUP})
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 50 { // a server that ends closes its listener
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/healthz", http.NoBody)
		require.NoError(t, err)
		response, err := fresh.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusOK, response.StatusCode)
	}
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "exit status 0")
}

// startServer starts a server over HTTP with further flags, and returns its log and
// address.
func startServer(t *testing.T, flags ...string) (c *exec.Cmd, log *testrig.Buffer, address string) {
	t.Helper()
	c = command(t, t.TempDir(), newAccount(t).env, append([]string{"--transport", "http", "--listen", "127.0.0.1:0"}, flags...)...)
	read, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	log = &testrig.Buffer{}
	return c, log, testrig.Listening(t, io.TeeReader(read, log))
}

// A program started with nohup ignores SIGHUP.
func TestHangUp_IgnoredUnderNohup(t *testing.T) {
	t.Parallel()
	program := command(t, t.TempDir(), newAccount(t).env)
	c := exec.CommandContext(t.Context(), "/bin/sh", "-c", `trap "" HUP; exec "$0"`, program.Path)
	c.Env, c.WaitDelay = program.Env, program.WaitDelay
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	responses := bufio.NewReader(out)
	for id := range 3 {
		_, err = fmt.Fprintf(in, `{"jsonrpc":"2.0","id":%d,"method":"ping"}`+"\n", id)
		require.NoError(t, err)
		line, err := responses.ReadString('\n')
		require.NoError(t, err)
		assert.Contains(t, line, fmt.Sprintf(`"id":%d`, id))
		sendAll(t, c, []syscall.Signal{syscall.SIGHUP})
	}
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait())
}

// Like TestHangUp_FinishesPaidWork, with a real terminal that closes.
func TestClosedTerminal_FinishesPaidWork(t *testing.T) {
	t.Parallel()
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		c := command(t, t.TempDir(), a.env)
		in, err := c.StdinPipe()
		require.NoError(t, err)
		var out bytes.Buffer
		c.Stdout = &out
		const stderr = 2
		terminal := startInTerminal(t, c, stderr)
		_, err = io.WriteString(in, paidCall)
		require.NoError(t, err)
		a.waitForPayment(t)
		require.NoError(t, terminal.Close())
		require.NoError(t, c.Wait(), "exit status 0")
		assert.Contains(t, out.String(), `"status":"saved"`)
		a.assertSaved(t)
	})
	t.Run("generate", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		c := command(t, t.TempDir(), a.env, "generate", "--size", "512x512", "sandbox:delay=300ms")
		terminal := startInTerminal(t, c, 0)
		a.waitForPayment(t)
		require.NoError(t, terminal.Close())
		require.NoError(t, c.Wait(), "exit status 0")
		a.assertSaved(t)
	})
}

// startInTerminal starts a command as the session leader of a new terminal and
// returns the other side of the terminal. Streams of the command that are not
// set are connected to the terminal; fd is the number of one of them.
func startInTerminal(t *testing.T, c *exec.Cmd, fd int) (terminal *os.File) {
	t.Helper()
	terminal, err := pty.StartWithAttrs(c, nil, &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: fd})
	require.NoError(t, err)
	return terminal
}

// sendAll sends signals to a process, which may exit before the last one.
func sendAll(t *testing.T, c *exec.Cmd, signals []syscall.Signal) {
	t.Helper()
	for _, s := range signals {
		if err := c.Process.Signal(s); err != nil {
			require.ErrorContains(t, err, "finished")
		}
	}
}
