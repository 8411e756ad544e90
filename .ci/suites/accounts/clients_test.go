package accounts

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// outcome is what a client reports.
type outcome struct {
	ID            string
	Registrations int
	SignIns       int
	Asked         string // scopes
	Resource      string
	Calls         int
	Failed        []string
}

// run runs a client to its end. Its kind is one of client.mjs, or gosdk.
func run(t *testing.T, kind, endpoint, account, prompt string, args ...string) outcome {
	t.Helper()
	args = append([]string{endpoint, account, prompt}, args...)
	c := node(t, "client.mjs", append([]string{kind}, args...)...)
	if kind == "gosdk" {
		c = exec.CommandContext(t.Context(), environment(t, "ZAI_TEST_GOSDK"), args...)
	}
	// mcp-remote keeps what it knows in the home folder, and opens a browser.
	home := t.TempDir()
	browser := filepath.Join(home, "xdg-open")
	require.NoError(t, os.WriteFile(browser, []byte("#!/bin/sh\nexec \"$ZAI_TEST_NODE\" \"$ZAI_TEST_CLIENTS/browser.mjs\" \"$1\"\n"), 0o700))
	c.Env = append(os.Environ(), "HOME="+home, "BROWSER="+browser, "PATH="+home+":"+os.Getenv("PATH"))
	errors := &testrig.Buffer{}
	c.Stderr = errors
	out, err := c.Output()
	require.NoError(t, err, errors.String())
	var o outcome
	require.NoError(t, json.Unmarshal(out, &o), string(out))
	assert.Empty(t, o.Failed)
	return o
}

// Clients of other projects find the provider by the server's answer, register, sign in
// and generate an image, for which one request is sent. The account owns it.
func TestClients(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := newServer(t, p, "--oidc-scopes", strings.ReplaceAll(scopes, " ", ","))
	clients := []struct{ name, kind, path string }{
		{"ts1", "ts1-http", "/mcp"},
		{"ts1-sse", "ts1-sse", "/sse"},
		{"ts2", "ts2-http", "/mcp"},
		{"ts2-sse", "ts2-sse", "/sse"},
		{"ts2-stateless", "ts2-pinned", "/mcp"},
		{"gosdk", "gosdk", "/mcp"},
		{"mcp-remote", "mcp-remote", "/mcp"},
	}
	t.Run("clients", func(t *testing.T) {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				o := run(t, c.kind, s.base+c.path, c.name, "a fox for "+c.name)
				if c.kind != "mcp-remote" {
					assert.Equal(t, 1, o.SignIns)
					assert.Equal(t, s.base+c.path, o.Resource)
					assert.Subset(t, strings.Fields(o.Asked), strings.Fields(scopes)) // the order varies
				}
				t.Logf("asked for %q", o.Asked)
				listed := s.images(p.owner(c.name), "list")
				assert.Contains(t, listed, o.ID)
				assert.Contains(t, listed, "a fox for "+c.name)
				assert.Equal(t, 1, strings.Count(listed, "\n"), listed)
				assert.Contains(t, s.images(p.owner(c.name), "spend"), p.owner(c.name))
			})
		}
	})
	assert.EqualValues(t, len(clients), s.api.Posts())
	assert.Equal(t, len(clients), p.counts()["/reg"], "each registers once")
}

// A client whose token lacks the scope that generating needs signs in again for it.
func TestClients_StepUp(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := newServer(t, p, "--oidc-scopes", strings.ReplaceAll(scopes, " ", ","))
	for _, kind := range []string{"ts2-http", "gosdk"} {
		t.Run(kind, func(t *testing.T) {
			o := run(t, kind, s.base+"/mcp", kind, "a fox for "+kind, "0", "images:read")
			assert.Equal(t, 2, o.SignIns)
			assert.Contains(t, o.Asked, "images:generate")
			assert.Contains(t, s.images(p.owner(kind), "list"), o.ID)
		})
	}
	assert.EqualValues(t, 2, s.api.Posts())
}

// Clients refresh tokens that expire, without a person and without a failed call. The
// clock of the provider is a minute behind, which the server tolerates, so that tokens of
// five seconds are refused after five seconds. HTTP+SSE is left out: its sessions end with
// their streams, and calls fail until the client has opened another one.
func TestClients_Expiry(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "TOKEN_SECONDS=5", "CLOCK_SECONDS=-60")
	s := newServer(t, p, "--oidc-scopes", strings.ReplaceAll(scopes, " ", ","))
	kinds := []string{"ts1-http", "ts2-http", "ts2-pinned", "gosdk"}
	start := time.Now()
	t.Run("clients", func(t *testing.T) {
		for _, kind := range kinds {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				o := run(t, kind, s.base+"/mcp", kind, "a fox for "+kind, "16")
				assert.Equal(t, 1, o.SignIns)
				t.Logf("%d calls, %d of them failed", o.Calls, len(o.Failed))
			})
		}
	})
	refreshed := p.counts()["refresh_token"]
	assert.GreaterOrEqual(t, refreshed, 2*len(kinds))
	t.Logf("%d refreshed tokens in %v", refreshed, time.Since(start).Round(time.Second))
}
