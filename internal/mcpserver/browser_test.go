package mcpserver_test

import (
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/web"
)

//go:embed testdata/attack.html
var attackPage string

// A real browser shows a page of another origin that tries everything. It runs
// no tool and reads nothing; the same page, once it is allowed, does both.
func TestGuard_BrowserPage(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("NOT TESTED: what a web page can do is not tried; install Debian's chromium")
	}
	// Processes of the browser write to its folder for a moment after it is
	// killed, so the folder may not be deleted in time.
	profile, err := os.MkdirTemp("", "browser") //nolint:usetesting // t.TempDir fails the test in that case
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	for _, allowed := range []bool{false, true} {
		results := make(chan map[string]string, 1)
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/":
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, strings.ReplaceAll(attackPage, "TARGET", r.URL.Query().Get("target")))
			case "/results":
				var result map[string]string
				assert.NoError(t, json.NewDecoder(r.Body).Decode(&result))
				results <- result
			default:
				http.NotFound(w, r)
			}
		}))
		defer page.Close()
		address := web.ListenConfig{}
		if allowed {
			address.AllowOrigins = []string{page.URL}
		}
		r := newWebRig(t, webOptions{address: address})
		browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-features=LocalNetworkAccessChecks",
			"--user-data-dir="+profile, page.URL+"/?target="+url.QueryEscape(r.base))
		browser.WaitDelay = time.Second
		require.NoError(t, browser.Start())
		var result map[string]string
		select {
		case result = <-results:
		case <-time.After(60 * time.Second):
			assert.Fail(t, "the page did not finish")
		}
		_ = browser.Process.Kill()
		_ = browser.Wait()
		t.Logf("allowed: %v, the page's tries: %v", allowed, result)
		require.Len(t, result, 10)
		read := 0
		for _, outcome := range result {
			if strings.HasPrefix(outcome, "read") {
				read++
			}
		}
		if allowed {
			assert.Positive(t, read, "the page would have noticed")
			assert.Positive(t, r.sandbox.Posts())
			continue
		}
		assert.Zero(t, read)
		assert.Zero(t, r.sandbox.Posts())
		assert.NotContains(t, r.log.String(), "msg=call")
		assert.GreaterOrEqual(t, strings.Count(r.log.String(), "refused a request"), 7, "the page did try")
	}
}
