package jobs_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// faulty is the API with one fault. For each prompt it counts the complete
// requests that it received, and those that it accepted, which are billed.
type faulty struct {
	*sandbox.Sandbox
	fail func(w http.ResponseWriter, take func() *httptest.ResponseRecorder)

	mu                 sync.Mutex
	received, accepted map[string]int
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		f.Sandbox.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var request struct{ Prompt string }
	_ = json.Unmarshal(body, &request)
	f.mu.Lock()
	f.received[request.Prompt]++
	f.mu.Unlock()
	f.fail(w, func() *httptest.ResponseRecorder {
		f.mu.Lock()
		f.accepted[request.Prompt]++
		f.mu.Unlock()
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		answer := httptest.NewRecorder()
		f.Sandbox.ServeHTTP(answer, r)
		return answer
	})
}

// cut sends the beginning of a response and closes the connection, with a reset
// if hard is set.
func cut(w http.ResponseWriter, text string, hard bool) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(connection, text)
	if tcp, ok := connection.(*net.TCPConn); ok && hard {
		_ = tcp.SetLinger(0) // a reset instead of an end
	}
	connection.Close()
}

// Wherever the connection to the service fails, a request is accepted at most
// once, and is sent again only if it was certainly not accepted. The image
// stays charged unless that is certain.
func TestStart_ConnectionFailures(t *testing.T) {
	t.Parallel()
	const calls = 10
	late := make(chan struct{})
	text := func(status int, body string) func(http.ResponseWriter, func() *httptest.ResponseRecorder) {
		return func(w http.ResponseWriter, _ func() *httptest.ResponseRecorder) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	cutAt := func(text string, hard bool) func(http.ResponseWriter, func() *httptest.ResponseRecorder) {
		return func(w http.ResponseWriter, take func() *httptest.ResponseRecorder) {
			take()
			cut(w, text, hard)
		}
	}
	tests := map[string]struct {
		fail     func(http.ResponseWriter, func() *httptest.ResponseRecorder)
		received int // requests of each call
		accepted int
		state    resources.State
	}{
		"no server":                 {nil, 0, 0, resources.Failed},
		"no TLS":                    {nil, 0, 0, resources.Failed},
		"closed without a response": {cutAt("", false), 1, 1, resources.Unknown},
		"reset without a response":  {cutAt("", true), 1, 1, resources.Unknown},
		"half a status line":        {cutAt("HTTP/1.1 2", false), 1, 1, resources.Unknown},
		"half the headers":          {cutAt("HTTP/1.1 200 OK\r\nContent-Ty", false), 1, 1, resources.Unknown},
		"no body":                   {cutAt("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", false), 1, 1, resources.Unknown},
		"half a body":               {cutAt("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"+`{"created":1,"data":[{"url":"http`, true), 1, 1, resources.Unknown},
		"a body that is not JSON":   {cutAt("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", false), 1, 1, resources.Unknown},
		"gateway error":             {text(502, "<html>Bad Gateway</html>"), 1, 0, resources.Unknown},
		"gateway timeout":           {text(504, ""), 1, 0, resources.Unknown},
		"plain 500":                 {text(500, `{"code":500,"msg":"error"}`), 1, 0, resources.Unknown},
		"busy":                      {text(429, `{"error":{"code":"1303","message":"Rate limit reached for requests"}}`), 4, 0, resources.Failed},
		"the service's own error":   {text(500, `{"error":{"code":"1234","message":"Network error"}}`), 4, 0, resources.Failed},
		"no balance":                {text(429, `{"error":{"code":"1113","message":"Insufficient balance"}}`), 1, 0, resources.Failed},
		"accepted, then silent": {func(_ http.ResponseWriter, take func() *httptest.ResponseRecorder) {
			take()
			<-late // until the client has given up
		}, 1, 1, resources.Unknown},
		"no fault": {func(w http.ResponseWriter, take func() *httptest.ResponseRecorder) {
			_, _ = w.Write(take().Body.Bytes())
		}, 1, 1, resources.Saved},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &faulty{Sandbox: sandbox.New(sandbox.Options{MaxConcurrent: sandbox.Unlimited}), fail: tt.fail, received: map[string]int{}, accepted: map[string]int{}}
			api := httptest.NewServer(f)
			defer api.Close()
			base := api.URL + sandbox.BasePath
			limit := time.Minute
			if name == "accepted, then silent" {
				limit = time.Second
				defer close(late)
			}
			options := []zai.Option{zai.WithTimeouts(time.Minute, limit), zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 })}
			switch name {
			case "no server":
				base = "http://127.0.0.1:1" + sandbox.BasePath
			case "no TLS":
				base = strings.Replace(base, "http:", "https:", 1)
				options = append(options, zai.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}))
			}
			client, err := zai.NewClient("a-key-for-tests", append(options, zai.WithBaseURL(base))...)
			require.NoError(t, err)
			defer client.Close()
			r := newRig(t, func(c *jobs.Config) { c.Client, c.MaxConcurrent = client, calls })
			var all []*jobs.Call
			for n := range calls {
				call, err := r.Start(t.Context(), order(fmt.Sprint("call ", n)), nil)
				require.NoError(t, err)
				all = append(all, call)
			}
			for n, call := range all {
				<-call.Jobs[0].Done()
				image := r.image(t, ids(call)[0])
				assert.Equal(t, tt.state, image.State, "%+v", image.Failure)
				assert.Equal(t, tt.state != resources.Failed, image.Charged)
				prompt := fmt.Sprint("call ", n)
				f.mu.Lock()
				assert.Equal(t, tt.received, f.received[prompt])
				assert.Equal(t, tt.accepted, f.accepted[prompt])
				assert.LessOrEqual(t, f.accepted[prompt], 1)
				f.mu.Unlock()
			}
		})
	}
}
