package replicas

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// owners are the names in the tokens file of a fleet.
var owners = []string{"alice", "bob", "carol", "dave"}

func tokenOf(owner string) string { return owner + "-token-0123456789abcdef0123456789abcdef" }

// fleet is a number of replicas on one place.
type fleet struct {
	t        *testing.T
	place    *place
	upstream *upstream
	env      []string
	flags    []string
	client   *http.Client
	replicas []*replica
}

// replica is a server process. Its address stays the same when it is started again.
type replica struct {
	fleet   *fleet
	address string
	log     *testrig.Buffer

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan error
}

// newFleet starts n replicas with further flags of serve.
func newFleet(t *testing.T, n int, p *place, u *upstream, flags ...string) *fleet {
	t.Helper()
	var lines []string
	for _, owner := range owners {
		lines = append(lines, owner+":"+tokenOf(owner))
	}
	f := &fleet{
		t: t, place: p, upstream: u, flags: append([]string{"--auth-tokens", testrig.TokenFile(t, lines...)}, flags...),
		env:    append(append(p.env(), u.env()...), "ZAI_IMAGE_LOG_FORMAT=json"),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}},
	}
	t.Cleanup(f.client.CloseIdleConnections)
	for range n {
		r := &replica{fleet: f, address: "127.0.0.1:0", log: &testrig.Buffer{}}
		f.replicas = append(f.replicas, r)
		r.start()
	}
	t.Cleanup(func() {
		if t.Failed() {
			for i, r := range f.replicas {
				t.Logf("warnings of replica %d:\n%s", i, warnings(r.log.String()))
			}
		}
	})
	return f
}

// warnings returns the last warnings and errors in a log, without those about calls that
// were refused.
func warnings(log string) string {
	var list []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"level":"INFO"`) && !strings.Contains(line, "failed to start a call") {
			list = append(list, line)
		}
	}
	return strings.Join(list[max(0, len(list)-20):], "")
}

// start starts the process and waits until it listens.
func (r *replica) start() {
	t := r.fleet.t
	t.Helper()
	args := append([]string{"serve", "--transport", "http", "--listen", r.address}, r.fleet.flags...)
	c := testrig.Command(t, r.fleet.env, args...)
	read, write := io.Pipe()
	c.Stderr = io.MultiWriter(r.log, write)
	require.NoError(t, c.Start())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Wait()
		_ = write.Close()
	}()
	address := testrig.Listening(t, read)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.process, r.address, r.ended = c, address, ended
}

// kill ends the process as a power cut does.
func (r *replica) kill() { _ = r.signal(syscall.SIGKILL) }

// stop ends the process and lets its paid work finish.
func (r *replica) stop() error { return r.signal(syscall.SIGTERM) }

func (r *replica) signal(s syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.process.Process.Signal(s); err != nil {
		return err
	}
	err := <-r.ended
	r.ended <- err
	return err
}

const clientMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}`

// post sends a message and returns the response.
func (r *replica) post(ctx context.Context, owner, body string, headers ...string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.address+"/mcp", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	headers = append([]string{"Authorization", "Bearer " + tokenOf(owner), "Content-Type", "application/json", "Accept", "application/json, text/event-stream"}, headers...)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return r.fleet.client.Do(request)
}

// call calls a tool and returns its result. An error means that there was no result.
func (r *replica) call(ctx context.Context, owner, tool, arguments string) (testrig.ToolResult, error) {
	var result testrig.ToolResult
	raw, err := r.request(ctx, owner, "tools/call", tool, fmt.Sprintf(`"name":%q,"arguments":%s`, tool, arguments))
	if err != nil {
		return result, err
	}
	return result, json.Unmarshal(raw, &result)
}

// request sends a stateless request and returns the result.
func (r *replica) request(ctx context.Context, owner, method, name, params string) (json.RawMessage, error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s,%s}}`, method, clientMeta, params)
	response, err := r.post(ctx, owner, body, "Accept", "application/json", "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method, "Mcp-Name", name)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var m testrig.Message
	if err := json.NewDecoder(response.Body).Decode(&m); err != nil {
		return nil, fmt.Errorf("status %d: %w", response.StatusCode, err)
	}
	if m.Error != nil {
		return nil, &protocolError{response.StatusCode, m.Error.Code, m.Error.Message}
	}
	return m.Result, nil
}

// protocolError is a response that has no result.
type protocolError struct {
	status  int
	code    int
	message string
}

func (e *protocolError) Error() string {
	return fmt.Sprintf("status %d, code %d: %s", e.status, e.code, e.message)
}

// generate requests an image and returns what the caller is told.
func (r *replica) generate(ctx context.Context, owner, model, prompt string) outcome {
	return outcomeOf(r.call(ctx, owner, "generate_image", fmt.Sprintf(`{"prompt":%q,"model":%q,"size":"512x512"}`, prompt, model)))
}

// finish waits for an image in progress with get_image.
func (r *replica) finish(ctx context.Context, owner string, o outcome) outcome {
	for o.status == "working" && ctx.Err() == nil {
		o = outcomeOf(r.call(ctx, owner, "get_image", fmt.Sprintf(`{"id":%q}`, o.id)))
	}
	return o
}

const (
	cogview = "cogview-4-250304"
	glm     = "glm-image"
)

// outcome is what the caller of a tool is told about one image.
type outcome struct {
	status string // of the image; "" if there is none
	kind   string // of the failure; "connection" if there was no result
	id     string
	sha    string
	err    error
}

func outcomeOf(result testrig.ToolResult, err error) outcome {
	if refused, ok := errors.AsType[*protocolError](err); ok {
		return outcome{kind: fmt.Sprintf("error %d", refused.code), err: err}
	}
	if err != nil {
		return outcome{kind: "connection", err: err}
	}
	content := result.StructuredContent
	if len(content.Images) == 0 {
		if content.Error != nil {
			return outcome{kind: string(content.Error.Kind), err: errors.New(content.Error.Message)}
		}
		return outcome{kind: "empty", err: fmt.Errorf("%+v", result.Content)}
	}
	i := content.Images[0]
	o := outcome{status: string(i.Status), id: i.ID, sha: i.SHA256}
	if i.Error != nil {
		o.kind, o.err = string(i.Error.Kind), errors.New(i.Error.Message)
	}
	if content.Error != nil {
		o.kind, o.err = string(content.Error.Kind), errors.New(content.Error.Message)
	}
	return o
}

// said returns the outcome in words.
func (o outcome) said() string {
	switch {
	case o.status != "" && o.kind != "":
		return o.status + ", kind `" + o.kind + "`"
	case o.status != "":
		return o.status
	default:
		return "kind `" + o.kind + "`"
	}
}

// insist calls a tool until a replica returns a result, beginning with the i-th replica.
func (f *fleet) insist(ctx context.Context, i int, owner, model, prompt string) outcome {
	for ; ; i++ {
		o := f.replicas[i%len(f.replicas)].generate(ctx, owner, model, prompt)
		if o.kind != "connection" || ctx.Err() != nil {
			return o
		}
		time.Sleep(20 * time.Millisecond) // the replica is down
	}
}

// messages returns the messages in a stream of server-sent events, until it ends.
func messages(body io.ReadCloser) <-chan testrig.Message {
	out := make(chan testrig.Message, 1000)
	go func() {
		defer close(out)
		defer body.Close()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var m testrig.Message
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &m) == nil {
				out <- m
			}
		}
	}()
	return out
}

// follow is like generate, and calls progress at the first notification of progress.
func (r *replica) follow(ctx context.Context, owner, prompt string, progress func()) outcome {
	meta := strings.Replace(clientMeta, `{"io`, `{"progressToken":"p","io`, 1)
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{%s,"name":"generate_image","arguments":{"prompt":%q,"size":"512x512"}}}`, meta, prompt)
	response, err := r.post(ctx, owner, body, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "generate_image")
	if err != nil {
		return outcomeOf(testrig.ToolResult{}, err)
	}
	once := sync.OnceFunc(progress)
	var result testrig.ToolResult
	err = io.ErrUnexpectedEOF
	for m := range messages(response.Body) {
		switch {
		case m.Method == "notifications/progress":
			once()
		case m.Result != nil:
			err = json.Unmarshal(m.Result, &result)
		}
	}
	return outcomeOf(result, err)
}
