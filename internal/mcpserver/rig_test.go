package mcpserver_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/mcpserver"
	"zai-image-mcp/internal/telemetry"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
)

type (
	message    = testrig.Message
	safeBuffer = testrig.Buffer
)

// patience is how long tests wait for what must happen, also on a busy machine.
const patience = time.Minute

// settings is what a test may change of a server.
type settings struct {
	mcpserver.Config
	Jobs jobs.Config
}

// newServer returns a server on a sandbox and a library of its own.
func newServer(t testing.TB, api *testrig.Service, log io.Writer, change func(*settings)) *mcpserver.Server {
	t.Helper()
	logger := telemetry.NewLogger(log, slog.LevelDebug, false, "", transport.LogAttrs)
	library := testrig.Library(t, func(o *testrig.LibraryOptions) { o.Log = logger })
	metrics, err := telemetry.New(t.Context(), telemetry.Config{Version: "1", Metrics: true})
	require.NoError(t, err)
	c := settings{
		Config: mcpserver.Config{
			Version: "1", Library: library, Telemetry: metrics, Region: zai.Global, DefaultModel: zai.DefaultModel, Wait: 30 * time.Second, Inline: tools.InlinePreview,
			Grace: 10 * time.Second, MaxMessage: limit.StdioMaxAnswer, Locator: resources.Locator{Path: true}, Now: time.Now, Log: logger,
		},
		Jobs: jobs.Config{Client: api.Client, Process: rand.Text(), MaxConcurrent: 5, Now: time.Now, Log: logger},
	}
	if change != nil {
		change(&c)
	}
	c.Jobs.Library, c.Jobs.Log, c.Jobs.Now = c.Library, c.Log, c.Now
	c.Pipeline = jobs.New(c.Jobs)
	server, err := mcpserver.New(c.Config)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	t.Cleanup(api.Close) // ends delays
	return server
}

// inOrder generates the images of one call one after the other, so that the
// sandbox draws the same for each.
func inOrder(c *settings) { c.Jobs.MaxConcurrent = 1 }

// rig is a server on a pair of pipes.
type rig struct {
	*mcpserver.Server
	sandbox *testrig.Service
	log     *safeBuffer
	in      io.WriteCloser
	lines   chan string
	ended   chan error
}

func newRig(t *testing.T, change func(*settings)) *rig {
	t.Helper()
	return newRigOn(t, testrig.API(t), change)
}

func newRigOn(t *testing.T, api *testrig.Service, change func(*settings)) *rig {
	t.Helper()
	r := &rig{sandbox: api, log: &safeBuffer{}, lines: make(chan string, 10_000), ended: make(chan error, 1)}
	r.Server = newServer(t, r.sandbox, r.log, change)
	return r
}

// start serves; the test's end closes the input.
func (r *rig) start(t *testing.T) {
	t.Helper()
	r.startUntil(context.Background(), t)
}

// startUntil serves until ctx or the input ends.
func (r *rig) startUntil(ctx context.Context, t *testing.T) {
	t.Helper()
	in, theirs := io.Pipe()
	ours, out := io.Pipe()
	r.in = theirs
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.ended <- r.ServeStdio(ctx, in, out)
		out.Close()
	}()
	go func() {
		defer close(r.lines)
		reader := bufio.NewReader(ours)
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			r.lines <- line
		}
	}()
	t.Cleanup(func() {
		theirs.Close()
		r.sandbox.Close() // ends delays
		<-stopped         // calls in flight write to the library, which is about to be removed
	})
}

func (r *rig) send(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(r.in, line+"\n")
	require.NoError(t, err)
}

func (r *rig) next(t *testing.T) message {
	t.Helper()
	select {
	case line, ok := <-r.lines:
		require.True(t, ok, "the server ended")
		return testrig.ParseMessage(t, []byte(line))
	case <-time.After(patience):
		require.Fail(t, "no message")
		return message{}
	}
}

// answer skips notifications.
func (r *rig) answer(t *testing.T) message {
	t.Helper()
	for {
		if m := r.next(t); m.Method == "" {
			return m
		}
	}
}

func (r *rig) handshake(t *testing.T) {
	t.Helper()
	r.start(t)
	r.send(t, testrig.Initialize)
	require.Nil(t, r.answer(t).Error)
	r.send(t, testrig.Initialized)
}

const statelessMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}`

func generate(id any, prompt string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%v,"method":"tools/call","params":{"name":"generate_image","_meta":{"progressToken":"t%v"},"arguments":{"prompt":%q,"size":"512x512"}}}`, id, id, prompt)
}
