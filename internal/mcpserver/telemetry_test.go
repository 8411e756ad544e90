package mcpserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/zai"
)

// Metrics count calls, requests to the API, images, money, sessions and streams,
// without values from outside as labels.
func TestMetrics(t *testing.T) {
	api := testrig.API(t)
	s := newWebRig(t, webOptions{api: api, config: func(c *settings) {
		c.Jobs.MaxConcurrent, c.Jobs.BudgetUSD = 1, 0.05
		c.Jobs.Client = api.NewClient(t, zai.WithObserver(c.Telemetry.Attempt))
	}})
	named := s.session(t)
	post := func(body string) string {
		_, text := s.ask(t, "POST", "/mcp", body, named...)
		return text
	}
	require.Contains(t, post(generate(1, "a secret garden")), `"saved"`)
	post(generate(2, "sandbox:content_blocked"))
	post(generate(3, "sandbox:too_frequent*1"))
	post(call(4, "generate_image", `{"prompt":"x","colour":"red"}`))
	post(call(5, "no_such_tool_"+strings.Repeat("x", 30), `{}`))
	stream := s.do(t, "GET", "/mcp", "", named...)
	defer stream.Body.Close()
	var all sync.WaitGroup
	defer all.Wait()
	defer api.Close() // ends the delay
	all.Go(func() { post(generate(6, "sandbox:delay=1h x")) })
	require.Eventually(t, func() bool { return s.sandbox.Accepted() == 3 }, patience, time.Millisecond)
	all.Go(func() { post(generate(7, "waits")) })
	var text string
	require.Eventually(t, func() bool {
		_, text = s.ask(t, "GET", "/metrics", "")
		return strings.Contains(text, "\nzai_image_queue_length 1\n")
	}, patience, 20*time.Millisecond)
	for _, line := range []string{
		`zai_image_tool_calls_total{outcome="ok",tool="generate_image"} 2`,
		`zai_image_tool_calls_total{outcome="content_blocked",tool="generate_image"} 1`,
		`zai_image_tool_calls_total{outcome="invalid_argument",tool="generate_image"} 1`,
		`zai_image_tool_duration_seconds_count{tool="generate_image"} 4`,
		`zai_image_upstream_duration_seconds_count{operation="generate",status="2xx"} 2`,
		`zai_image_upstream_duration_seconds_count{operation="generate",status="4xx"} 2`,
		`zai_image_upstream_duration_seconds_count{operation="download",status="2xx"} 2`,
		`zai_image_upstream_retries_total{operation="generate"} 1`,
		`zai_image_pictures_stored_total{sandbox="false"} 2`,
		`zai_image_spent_usd_total{sandbox="false"} 0.02`,
		`zai_image_sessions 1`, `zai_image_streams 1`,
	} {
		assert.Contains(t, text, "\n"+line+"\n")
	}
	assert.Regexp(t, `\nzai_image_stored_bytes_total\{sandbox="false"\} \d{5,}`, text)
	assert.NotContains(t, text, "no_such_tool", "labels have no values from outside")
	assert.NotContains(t, text, "garden")
	// The log identifies requests and contains no prompt.
	assert.Regexp(t, `msg=call tool=generate_image outcome=ok seconds=\S+ request=[A-Z0-9]{12} owner=local`, s.log.String())
	assert.NotContains(t, s.log.String(), "garden")
}

// A server whose library cannot be used is not ready, but healthy.
func TestHealth_BrokenLibrary(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{config: func(c *settings) { c.Library = broken() }})
	status, _ := r.ask(t, "GET", "/healthz", "")
	assert.Equal(t, 200, status)
	status, text := r.ask(t, "GET", "/readyz", "")
	assert.Equal(t, 503, status)
	assert.NotContains(t, text, os.Args[0], "only the log has the reason")
	assert.Contains(t, r.log.String(), filepath.Base(os.Args[0]))
}

// Traces go to the endpoint of OpenTelemetry's variables, and continue the
// caller's.
func TestProgram_Traces(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got strings.Builder
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _, err := testrig.ReadBody(r)
		assert.NoError(t, err)
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&got, "%s %q\n", r.URL.Path, b)
	}))
	defer collector.Close()
	_, env := startAPI(t)
	c := program(t, append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL))
	body := strings.Replace(generate(1, "a secret garden"), `{"progressToken"`, `{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","progressToken"`, 1)
	c.Stdin = strings.NewReader(body + "\n")
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"/v1/traces", "tools/call generate_image", "zai images/generations", "zai image", "cogview-4-250304"} {
		assert.Contains(t, got.String(), want)
	}
	assert.Len(t, regexp.MustCompile(regexp.QuoteMeta(strings.Trim(fmt.Sprintf("%q", "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"), `"`))).FindAllString(got.String(), -1), 3, "all are in the caller's trace")
	assert.NotContains(t, got.String(), "garden")
}
