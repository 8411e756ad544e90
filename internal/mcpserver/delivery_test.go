package mcpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/telemetry"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/transport"
	"zai-image-mcp/resources"
)

const again = "nothing was charged a second time"

// A caller that gave up after the request was sent repeats its call: over each
// transport it gets the image that was paid for, and the next time a new one.
func TestDelivery_RepeatedCallPaysOnce(t *testing.T) {
	t.Parallel()
	const params = `{"name":"generate_image","arguments":{"prompt":"sandbox:delay=1h a fox","size":"512x512"}}`
	body := func(isStateless bool) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":99,"method":"tools/call","params":%s}`, withMeta(isStateless, params))
	}
	const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}`
	// Each function begins a call, and gives it up once it was sent.
	for name, way := range map[string]func(t *testing.T, r *webRig, sent func()) wire{
		"streamable, cancelled": func(t *testing.T, r *webRig, sent func()) wire {
			named := r.session(t)
			done := make(chan struct{})
			go func() { defer close(done); r.ask(t, "POST", "/mcp", body(false), named...) }()
			sent()
			r.ask(t, "POST", "/mcp", cancel, named...)
			<-done
			return r.streamable(t, false)
		},
		"streamable, connection lost": func(t *testing.T, r *webRig, sent func()) wire {
			r.leave(t, body(false), sent, r.session(t)...)
			return r.streamable(t, false)
		},
		"stateless, closed": func(t *testing.T, r *webRig, sent func()) wire {
			r.leave(t, body(true), sent, statelessHeaders("tools/call", "generate_image")...)
			return r.streamable(t, true)
		},
		"sse, cancelled": func(t *testing.T, r *webRig, sent func()) wire {
			s := r.openSSE(t)
			s.send(t, body(false))
			sent()
			s.send(t, cancel)
			return r.sse(t, false)
		},
		"sse, stream lost": func(t *testing.T, r *webRig, sent func()) wire {
			s := r.openSSE(t)
			s.send(t, body(false))
			sent()
			s.close()
			return r.sse(t, true)
		},
	} {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", done ", done), func(t *testing.T) {
				t.Parallel()
				r := newWebRig(t, webOptions{})
				other := way(t, r, func() {
					require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
				})
				if done {
					r.sandbox.Close() // ends the delay
					require.Eventually(t, func() bool {
						return strings.Contains(string(other.request(t, "tools/call", `{"name":"list_images"}`).Result), `"status":"saved"`)
					}, patience, 5*time.Millisecond)
				} else {
					time.AfterFunc(50*time.Millisecond, r.sandbox.Close)
				}
				repeated := other.request(t, "tools/call", params)
				assert.Contains(t, string(repeated.Result), again)
				assert.Contains(t, string(repeated.Result), `"status":"saved"`)
				assert.Contains(t, string(repeated.Result), `"spent_today_usd":0.01,`)
				assert.EqualValues(t, 1, r.sandbox.Posts())
				wanted := other.request(t, "tools/call", params)
				assert.NotContains(t, string(wanted.Result), again)
				assert.EqualValues(t, 2, r.sandbox.Posts(), "the next equal call generates a new image")
			})
		}
	}
}

// leave posts a call and drops the connection once it was sent.
func (r *webRig) leave(t *testing.T, body string, sent func(), headers ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+"/mcp", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if response, err := r.client.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	}()
	sent()
	cancel()
	<-done
}

// The same over stdio.
func TestDelivery_RepeatedCallPaysOnceOverStdio(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.handshake(t)
	r.send(t, generate(1, "sandbox:delay=100ms a fox"))
	require.Eventually(t, func() bool { return r.sandbox.Accepted() == 1 }, patience, time.Millisecond)
	r.send(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	r.send(t, generate(2, "sandbox:delay=100ms a fox"))
	assert.Contains(t, string(r.answer(t).Result), again)
	assert.EqualValues(t, 1, r.sandbox.Posts())
	r.send(t, generate(3, "sandbox:delay=100ms a fox"))
	assert.NotContains(t, string(r.answer(t).Result), again)
	assert.EqualValues(t, 2, r.sandbox.Posts())
}

// A call is cancelled when its image is saved and its response waits for a host
// that does not read.
func TestDelivery_CancelBeforeTheResponseIsWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	in, host := io.Pipe()
	hostReads, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- r.ServeStdio(context.Background(), in, out); out.Close() }()
	say := func(line string) {
		_, err := io.WriteString(host, line+"\n")
		require.NoError(t, err)
	}
	answers := bufio.NewScanner(hostReads)
	answers.Buffer(nil, 8<<20)
	say(testrig.Initialize)
	require.True(t, answers.Scan())
	say(testrig.Initialized)
	say(generate(1, "a fox")) // its progress is not read, and its response waits behind that
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "saved an image") }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "msg=call") }, patience, time.Millisecond)
	say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	for range 2 { // the second is read only after the cancel was handled
		say(`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)
	}
	go say(generate(2, "a fox"))
	for answers.Scan() {
		assert.False(t, strings.Contains(answers.Text(), `"id":1,"result"`), "it was cancelled") //nolint:testifylint // the text is long
		if strings.Contains(answers.Text(), `"id":2,"result"`) {
			assert.True(t, strings.Contains(answers.Text(), again)) //nolint:testifylint // the text is long
			break
		}
	}
	assert.EqualValues(t, 1, r.sandbox.Posts())
	go func() { _, _ = io.Copy(io.Discard, hostReads) }()
	require.NoError(t, host.Close())
	require.NoError(t, <-ended)
}

// Images that a dead process left are resumed when the next one starts.
func TestRun_ResumesLeftImages(t *testing.T) {
	t.Parallel()
	leave := func(image *resources.Image, library **resources.Library) func(c *settings) {
		return func(c *settings) {
			id, err := c.Library.NewID()
			require.NoError(t, err)
			reserved, err := c.Library.Catalog().Reserve(t.Context(), resources.Reservation{
				Images: []resources.Image{{ID: id, Owner: "local", State: resources.Submitted, Prompt: "left"}}, Count: 1,
			})
			require.NoError(t, err)
			*image, *library = reserved.New[0], c.Library
			c.Jobs.RecoveryDelay = time.Millisecond
		}
	}
	for name, start := range map[string]func(t *testing.T, config func(*settings)){
		"stdio": func(t *testing.T, config func(*settings)) { newRig(t, config).handshake(t) },
		"http":  func(t *testing.T, config func(*settings)) { newWebRig(t, webOptions{config: config}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var image resources.Image
			var library *resources.Library
			start(t, leave(&image, &library))
			require.Eventually(t, func() bool {
				now, err := library.Image(t.Context(), "local", image.ID)
				return err == nil && now.State == resources.Unknown
			}, patience, 10*time.Millisecond)
		})
	}
}

// A call that waited long enough returns an id; repeated instead of get_image,
// it gets the same image.
func TestWait_RepeatedCallGetsTheImage(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *settings) { c.Wait = 30 * time.Millisecond })
	r.handshake(t)
	ids := map[string]bool{}
	for id := range 3 {
		if id == 2 {
			r.sandbox.Close() // ends the delay
			require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "saved an image") }, patience, time.Millisecond)
		}
		r.send(t, generate(id, "sandbox:delay=1h a fox"))
		var result struct {
			IsError           bool
			StructuredContent struct{ Images []struct{ ID, Status string } }
		}
		require.NoError(t, json.Unmarshal(r.answer(t).Result, &result))
		require.False(t, result.IsError)
		require.Len(t, result.StructuredContent.Images, 1)
		ids[result.StructuredContent.Images[0].ID] = true
		assert.Equal(t, id == 2, result.StructuredContent.Images[0].Status == "saved")
	}
	assert.Len(t, ids, 1)
	assert.EqualValues(t, 1, r.sandbox.Posts())
}

// Four processes share a folder and its budget, and are killed and started
// again: no more is sent than the budget allows.
func TestProgram_ProcessesShareABudget(t *testing.T) {
	t.Parallel()
	for _, kills := range []bool{false, true} {
		t.Run(fmt.Sprint("kills ", kills), func(t *testing.T) {
			t.Parallel()
			api, env := startAPI(t)
			env = append(env, "ZAI_IMAGE_DAILY_BUDGET=0.2", "ZAI_IMAGE_STORE="+t.TempDir())
			var made, refused atomic.Int64
			var all sync.WaitGroup
			for process := range 4 {
				all.Go(func() {
					for from := 0; from < 50; {
						n := 50
						if kills {
							n = 10
						}
						var in strings.Builder
						for i := from; i < from+n; i++ {
							fmt.Fprintln(&in, generate(i+1, fmt.Sprintf("process %d, call %d", process, i)))
						}
						from += n
						c := program(t, env)
						c.Stdin = strings.NewReader(in.String())
						var out bytes.Buffer
						c.Stdout = &out
						if err := c.Start(); err != nil {
							t.Error(err)
							return
						}
						if kills {
							time.AfterFunc(time.Duration(60+20*process)*time.Millisecond, func() { _ = c.Process.Kill() })
						}
						err := c.Wait()
						assert.True(t, kills || err == nil, "%v", err)
						made.Add(int64(strings.Count(out.String(), `"status":"saved"`)))
						refused.Add(int64(strings.Count(out.String(), `"kind":"budget_exceeded"`)))
					}
				})
			}
			all.Wait()
			if !kills {
				assert.EqualValues(t, 20, api.Posts())
				assert.EqualValues(t, 20, made.Load())
				assert.EqualValues(t, 180, refused.Load())
				return
			}
			c := program(t, env) // what is left
			var in strings.Builder
			for i := range 30 {
				fmt.Fprintln(&in, generate(i+1, fmt.Sprint("after the kills ", i)))
			}
			c.Stdin = strings.NewReader(in.String())
			out, err := c.Output()
			require.NoError(t, err)
			assert.Contains(t, string(out), `"kind":"budget_exceeded"`)
			assert.LessOrEqual(t, api.Posts(), int64(20))
			assert.GreaterOrEqual(t, api.Posts(), made.Load())
			assert.Contains(t, string(out), "$0.200 of $0.20 has been spent", "what is not known to be free counts")
		})
	}
}

// A host that floods the program and does not read its responses.
func TestLoad_StdioFlood(t *testing.T) {
	needsLoad(t)
	length := 2 * time.Second
	if os.Getenv("ZAI_TEST_FULL") != "" {
		length = 8 * time.Second
	}
	_, env := startAPI(t)
	c := program(t, env)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	written := make(chan int, 1)
	go func() {
		sent := 0
		for n := 0; ; n++ {
			line := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, n)
			switch n % 4 {
			case 1:
				line = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"list_images","arguments":{"query":%q}}}`, n, strings.Repeat("x", 10_000))
			case 2:
				line = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nobody's"}}`
			case 3:
				line = "this is no message"
			}
			if _, err := io.WriteString(in, line+"\n"); err != nil {
				written <- sent
				return
			}
			sent += len(line)
		}
	}()
	time.Sleep(length)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		t.Skip("NOT TESTED: no /proc to see the memory in")
	}
	var peak int
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	assert.Positive(t, peak)
	limit := 256 << 10
	if raceEnabled {
		limit *= 4
	}
	assert.Less(t, peak, limit, "kilobytes")
	go func() { _, _ = io.Copy(io.Discard, out) }() // the host wakes up
	time.Sleep(200 * time.Millisecond)
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait())
	t.Logf("%d bytes were taken, peak %d MB", <-written, peak>>10)
}

// The text of a panic is only logged, and without the key.
func TestLog_PanicsHideTheKey(t *testing.T) {
	t.Parallel()
	const key = "0ca9a72ec0ffee11deadbeef00000001.CanaryCanary4242"
	log := &safeBuffer{}
	r := newRig(t, func(c *settings) { c.Log = telemetry.NewLogger(log, 0, false, key, transport.LogAttrs) })
	r.AddTool("explode", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		panic(fmt.Errorf("Authorization: Bearer %s and %q", key, []string{key}))
	})
	r.handshake(t)
	r.send(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"explode"}}`)
	answer := r.answer(t)
	assert.Contains(t, log.String(), "panic")
	for _, text := range []string{log.String(), string(answer.Result)} {
		assert.NotContains(t, text, key)
		assert.NotContains(t, text, "CanaryCanary")
	}
}
