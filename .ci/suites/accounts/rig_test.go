// Package accounts tests accounts with a certified OpenID provider, which is not part of
// this project, and with clients of other projects, which sign in at it. The provider, the
// clients and the program are processes of their own; the API is in the process of the
// test.
//
// The tests need the path of Node.js in ZAI_TEST_NODE, the folder of the npm packages and
// of the scripts of this package in ZAI_TEST_CLIENTS, and the program of the folder gosdk
// in ZAI_TEST_GOSDK. The stage .ci/accounts sets them.
package accounts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// TestMain runs more tests at a time than there are processors, because clients mostly wait
// for tokens to expire.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	status := m.Run()
	testrig.RemoveProgram()
	os.Exit(status)
}

const scopes = "images:read images:generate"

// environment returns a variable that the stage sets.
func environment(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skip("NOT TESTED: accounts with a provider of its own; run .ci/accounts")
	}
	return value
}

// node returns a command that runs a script of this package.
func node(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), environment(t, "ZAI_TEST_NODE"), append([]string{script}, args...)...)
	c.Dir = environment(t, "ZAI_TEST_CLIENTS")
	c.Env = os.Environ()
	c.WaitDelay = 10 * time.Second
	return c
}

// provider is a process of the OpenID provider. Its address stays the same when it is
// started again.
type provider struct {
	t       testing.TB
	issuer  string
	port    string
	env     []string
	process *exec.Cmd
}

// newProvider starts a provider with further environment variables.
func newProvider(t testing.TB, env ...string) *provider {
	t.Helper()
	environment(t, "ZAI_TEST_NODE")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	p := &provider{t: t, issuer: "http://" + address, port: port, env: env}
	p.start()
	return p
}

func (p *provider) start() {
	p.t.Helper()
	c := node(p.t, "provider.mjs", p.port)
	c.Env = append(c.Env, p.env...)
	errors := &testrig.Buffer{}
	c.Stderr = errors
	out, err := c.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, c.Start())
	p.process = c
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "listening" {
	}
	require.Equal(p.t, "listening", lines.Text(), errors.String())
	go io.Copy(io.Discard, out)
}

// stop ends the process, as if the provider were down.
func (p *provider) stop() {
	p.t.Helper()
	require.NoError(p.t, p.process.Process.Kill())
	_ = p.process.Wait()
}

// owner returns the owner that the program derives from an account.
func (p *provider) owner(account string) string {
	return strings.TrimPrefix(p.issuer, "http://") + "/" + account
}

// counts returns how often each path was requested and each grant was used.
func (p *provider) counts() map[string]int {
	p.t.Helper()
	response, err := http.Get(p.issuer + "/control")
	require.NoError(p.t, err)
	defer response.Body.Close()
	var counts map[string]int
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(&counts))
	return counts
}

// use makes the provider publish keys and sign with one of them.
func (p *provider) use(signing string, published ...string) {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"signing": signing, "published": published})
	require.NoError(p.t, err)
	response, err := http.Post(p.issuer+"/control", "application/json", bytes.NewReader(body))
	require.NoError(p.t, err)
	defer response.Body.Close()
	require.Equal(p.t, http.StatusOK, response.StatusCode)
}

// token returns an access token of an account in ACCOUNTS for a server.
func (p *provider) token(account, resource, scope string) string {
	p.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {resource}, "scope": {scope}}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.issuer+"/token", strings.NewReader(form.Encode()))
	require.NoError(p.t, err)
	request.SetBasicAuth(account, account)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	defer response.Body.Close()
	var grant struct {
		Token string `json:"access_token"`
	}
	text, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, json.Unmarshal(text, &grant))
	require.NotEmpty(p.t, grant.Token, string(text))
	return grant.Token
}

// server is a process of the program that accepts the tokens of a provider.
type server struct {
	t    testing.TB
	base string
	api  *testrig.Service
	env  []string
	pid  int
	log  *testrig.Buffer
}

// newServer starts the program over HTTP and SSE, with further flags of serve.
func newServer(t testing.TB, p *provider, flags ...string) *server {
	t.Helper()
	s := &server{t: t, api: testrig.API(t), log: &testrig.Buffer{}}
	s.env = append(s.api.Env(), "ZAI_IMAGE_STORE="+t.TempDir(), "ZAI_IMAGE_LOG_FORMAT=json")
	c := testrig.Command(t, s.env, append([]string{
		"serve", "--transport", "sse", "--listen", "127.0.0.1:0", "--oidc-issuer", p.issuer, "--max-concurrent", "32",
	}, flags...)...)
	read, write := io.Pipe()
	c.Stderr = io.MultiWriter(s.log, write)
	require.NoError(t, c.Start())
	go func() {
		_ = c.Wait()
		_ = write.Close()
	}()
	s.base, s.pid = "http://"+testrig.Listening(t, read), c.Process.Pid
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of the server:\n%s", s.log.String())
		}
	})
	return s
}

// do sends a request with a bearer token, unless that is empty, and headers in pairs. It
// may be called from any goroutine.
func (s *server) do(ctx context.Context, method, path, token, body string, headers ...string) (status int, header http.Header, text string) {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err.Error()
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err.Error()
	}
	return response.StatusCode, response.Header, string(data)
}

// clientMeta is in the parameters of each request of the protocol without sessions.
const clientMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}`

// stateless sends a request of the protocol without sessions.
func (s *server) stateless(ctx context.Context, token, method, name, params string) (status int, header http.Header, text string) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s,%s}}`, method, clientMeta, params)
	return s.do(ctx, http.MethodPost, "/mcp", token, body, "Accept", "application/json",
		"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method, "Mcp-Name", name)
}

// list calls list_images, which every token may do, and returns the status and the header.
func (s *server) list(token string) (int, http.Header) {
	s.t.Helper()
	status, header, text := s.stateless(s.t.Context(), token, "tools/call", "list_images", `"name":"list_images","arguments":{}`)
	require.NotZero(s.t, status, text)
	return status, header
}

// images returns the output of the images command for an owner.
func (s *server) images(owner string, args ...string) string {
	s.t.Helper()
	out, err := testrig.Command(s.t, s.env, append([]string{"images", "--owner", owner}, args...)...).CombinedOutput()
	require.NoError(s.t, err, string(out))
	return string(out)
}

// memory returns the resident memory of the process in bytes.
func (s *server) memory() int {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	require.NoError(s.t, err)
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")))
			require.NoError(s.t, err)
			return kB << 10
		}
	}
	assert.Fail(s.t, "no VmRSS")
	return 0
}
