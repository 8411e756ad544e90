package mcpserver_test

import (
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/project"
	"zai-image-mcp/internal/web"
	"zai-image-mcp/tools/viewer"
)

//go:embed testdata/viewerhost.html
var viewerHostPage string

// viewerCase is what the host page does: it calls a tool, hands the result to
// the viewer, takes the steps, and ends the viewer.
type viewerCase struct {
	URI          string      `json:"uri"`
	Era          string      `json:"era"`
	Client       string      `json:"client"`
	Call         *viewerCall `json:"call"`
	Loss         string      `json:"loss"`         // what the host takes away from the result
	Capabilities object      `json:"capabilities"` // that the host announces
	Does         object      `json:"does"`         // what the host can do; nil for Capabilities
	Context      object      `json:"context"`      // of the host
	CSP          string      `json:"csp"`
	Width        int         `json:"width"`
	Faster       float64     `json:"faster"` // divides the times for which the viewer waits
	Steps        [][]any     `json:"steps"`
}

type object = map[string]any

type viewerCall struct {
	Name      string `json:"name"`
	Arguments object `json:"arguments"`
}

// viewerReport is what the page saw: the states of the viewer at the start and
// after each step, and the requests of the viewer.
type viewerReport struct {
	Failure  string          `json:"failure"`
	Page     object          `json:"page"`  // _meta of the resource
	Types    []string        `json:"types"` // of the content of the result
	States   []viewerState   `json:"states"`
	Log      []viewerRequest `json:"log"`
	Sizes    []float64       `json:"sizes"`
	Attacked int             `json:"attacked"` // scripts of prompts that ran
	Torn     string          `json:"torn"`     // the answer to the teardown
}

type viewerState struct {
	Failure  string   `json:"failure"`
	Text     string   `json:"text"`
	Controls []string `json:"controls"`
	Drawn    int      `json:"drawn"` // pictures with more than a few colors
	Labels   []string `json:"labels"`
	Elements []string `json:"elements"`
	Height   float64  `json:"height"`
	Overflow float64  `json:"overflow"`
	Color    string   `json:"color"`
	Scheme   string   `json:"scheme"`
	Ground   string   `json:"ground"`
}

type viewerRequest struct {
	Method string `json:"method"`
	Name   string `json:"name"`
	Params string `json:"params"`
}

// last returns the final state.
func (r viewerReport) last() viewerState { return r.States[len(r.States)-1] }

// requests returns what the viewer asked for, in order.
func (r viewerReport) requests() []string {
	list := make([]string, len(r.Log))
	for i, q := range r.Log {
		list[i] = q.Method + " " + q.Name
	}
	return list
}

// count returns how often the viewer made a request.
func (r viewerReport) count(method, name string) int {
	n := 0
	for _, q := range r.Log {
		if q.Method == method && strings.HasPrefix(q.Name, name) {
			n++
		}
	}
	return n
}

// viewerBrowser is a browser that shows the host page, with a server of its own.
type viewerBrowser struct {
	*webRig
	cases   chan viewerCase
	reports chan viewerReport
	project string // the folder for files
	uri     string // of the viewer
}

// newViewerBrowser starts the browser.
func newViewerBrowser(t *testing.T) *viewerBrowser {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	require.NoError(t, err, "install Debian's chromium")
	// Processes of the browser write to its folder for a moment after it is
	// killed, so the folder may not be deleted in time.
	profile, err := os.MkdirTemp("", "browser") //nolint:usetesting // t.TempDir fails the test in that case
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	b := &viewerBrowser{cases: make(chan viewerCase), reports: make(chan viewerReport), project: t.TempDir()}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, strings.ReplaceAll(viewerHostPage, "TARGET", b.base))
		case "/case":
			select {
			case c := <-b.cases:
				assert.NoError(t, json.NewEncoder(w).Encode(c))
			case <-r.Context().Done():
			}
		case "/report":
			var report viewerReport
			assert.NoError(t, json.NewDecoder(r.Body).Decode(&report))
			b.reports <- report
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(page.Close)
	b.webRig = newWebRig(t, webOptions{address: web.ListenConfig{AllowOrigins: []string{page.URL}}, config: func(c *settings) {
		c.Project = project.New(b.project)
	}})
	b.uri = viewer.URI("1")
	browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-features=LocalNetworkAccessChecks",
		"--user-data-dir="+profile, page.URL)
	browser.WaitDelay = time.Second
	require.NoError(t, browser.Start())
	t.Cleanup(func() {
		_ = browser.Process.Kill()
		_ = browser.Wait()
	})
	return b
}

// show lets the page run one case and checks what holds for all cases: it comes
// to its end, no script of a prompt runs, and the viewer lets itself be ended.
func (b *viewerBrowser) show(t *testing.T, c viewerCase) viewerReport {
	t.Helper()
	c.URI = b.uri
	var r viewerReport
	select {
	case b.cases <- c:
	case <-time.After(time.Minute):
		require.Fail(t, "the page does not take the case")
	}
	select {
	case r = <-b.reports:
	case <-time.After(2 * time.Minute):
		require.Fail(t, "the page does not report")
	}
	require.Empty(t, r.Failure)
	require.NotEmpty(t, r.States)
	require.Empty(t, r.last().Failure, "requests: %v\nshown:\n%.2000s\ncontrols: %q", r.requests(), r.last().Text, r.last().Controls)
	assert.Zero(t, r.Attacked)
	assert.Equal(t, "{}", r.Torn)
	assert.Equal(t, "rgba(0, 0, 0, 0)", r.last().Ground, "the host's ground is seen")
	for _, s := range r.States {
		assert.LessOrEqual(t, s.Overflow, 0.0, "the viewer is wider than its frame")
	}
	return r
}
