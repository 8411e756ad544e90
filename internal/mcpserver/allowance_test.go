package mcpserver_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// quotaRig is a server with a file of quotas.
type quotaRig struct {
	*webRig
	path    string
	changes int
}

// newQuotaRig returns a server with tokens for alice and bob.
func newQuotaRig(t *testing.T, text string) *quotaRig {
	t.Helper()
	return newQuotaRigAt(t, web.ListenConfig{AuthTokens: testrig.TokenFile(t, "alice:"+aliceToken, "bob:"+bobToken)}, text)
}

func newQuotaRigAt(t *testing.T, address web.ListenConfig, text string) *quotaRig {
	t.Helper()
	r := &quotaRig{path: filepath.Join(t.TempDir(), "quotas")}
	r.write(t, text)
	quotas, err := limit.LoadQuotaFile(r.path)
	require.NoError(t, err)
	r.webRig = newWebRig(t, webOptions{
		address: address,
		config: func(c *settings) {
			c.Jobs.Allowance = func(owner string) limit.Allowance { return quotas.Of(owner, 5) }
		},
		web: func(c *web.Config) { c.Quotas, c.Refused = quotas, quotas.Refused },
	})
	return r
}

// write replaces the file. Its time changes, also on file systems with coarse times.
func (r *quotaRig) write(t *testing.T, text string) {
	t.Helper()
	r.changes++
	other := r.path + ".new"
	require.NoError(t, os.WriteFile(other, []byte(text), 0o600))
	require.NoError(t, os.Chtimes(other, time.Time{}, time.Now().Add(time.Duration(-r.changes)*time.Hour)))
	require.NoError(t, os.Rename(other, r.path))
}

// ways returns a session of an owner over each transport.
func (r *quotaRig) ways(t *testing.T, token string) map[string]wire {
	t.Helper()
	return map[string]wire{
		"streamable": r.streamable(t, false, bearer(token)...), "stateless": r.streamable(t, true, bearer(token)...), "sse": r.sse(t, false, bearer(token)...),
	}
}

func makeImages(t *testing.T, w wire, prompt string, n int) string {
	t.Helper()
	m := w.request(t, "tools/call", fmt.Sprintf(`{"name":"generate_image","arguments":{"prompt":%q,"size":"512x512","n":%d}}`, prompt, n))
	require.Nil(t, m.Error)
	return string(m.Result)
}

// Eight sessions over each of three transports race for 20 images of one owner: exactly
// 20 requests are sent.
func TestQuotaFile_Race(t *testing.T) {
	t.Parallel()
	const sessions, pictures = 8, 20
	r := newQuotaRig(t, fmt.Sprintf("* pictures=%d\n", pictures))
	var all sync.WaitGroup
	var mu sync.Mutex
	saved, refusals := 0, 0
	for session := range sessions {
		for name, w := range r.ways(t, aliceToken) {
			all.Go(func() {
				for turn := 0; ; turn++ {
					result := makeImages(t, w, fmt.Sprintf("%s %d %d", name, session, turn), 1+session%2)
					mu.Lock()
					saved += strings.Count(result, `"status":"saved"`)
					mu.Unlock()
					if strings.Contains(result, "budget_exceeded") {
						mu.Lock()
						refusals++
						mu.Unlock()
						return
					}
				}
			})
		}
	}
	all.Wait()
	assert.Equal(t, pictures, saved)
	assert.EqualValues(t, pictures, r.sandbox.Posts())
	assert.Equal(t, 3*sessions, refusals)
	assert.Contains(t, makeImages(t, r.streamable(t, true, bearer(bobToken)...), "bob's own", 1), `"status":"saved"`, "each owner has a number")
}

// A call for more than remains makes what remains, and says what the limit is and whom
// to ask.
func TestQuotaFile_CallOverTheRest(t *testing.T) {
	t.Parallel()
	r := newQuotaRig(t, "* pictures=3\nbob budget=0.025 pictures=0\n")
	for _, tt := range []struct {
		token, says string
		saved       int
	}{
		{aliceToken, "The daily limit of 3 images is reached.", 3},
		{bobToken, "of $0.025 has been spent today", 2},
	} {
		w := r.streamable(t, true, bearer(tt.token)...)
		for call, want := range []int{tt.saved, 0} {
			result := makeImages(t, w, fmt.Sprintf("a fox %d", call), 4)
			assert.Equal(t, want, strings.Count(result, `"status":"saved"`))
			assert.Equal(t, want == 0, strings.Contains(result, `"isError":true`))
			assert.Contains(t, result, tt.says)
			assert.Contains(t, result, "ask who runs this server")
			assert.NotContains(t, result, "--daily-budget")
			assert.Contains(t, result, "budget_exceeded")
		}
	}
	assert.EqualValues(t, 5, r.sandbox.Posts())
}

// An owner who is read-only cannot generate images and can do everything else. A change
// of the file applies to open sessions.
func TestQuotaFile_ReadOnly(t *testing.T) {
	t.Parallel()
	r := newQuotaRig(t, "alice pictures=2\n")
	first := r.streamable(t, false, bearer(aliceToken)...)
	id, _ := madeBy(t, first, "a fox")
	r.write(t, "alice read-only\n")
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "reloaded the quotas") }, patience, time.Millisecond)
	for name, w := range r.ways(t, aliceToken) {
		result := makeImages(t, w, "another fox", 1)
		assert.Contains(t, result, `"isError":true`, name)
		assert.Contains(t, result, "(kind: budget_exceeded)", name)
		assert.Contains(t, result, "ask who runs this server", name)
		for _, request := range []string{`{"name":"list_images","arguments":{}}`, `{"name":"get_image","arguments":{"id":"` + id + `"}}`, `{"name":"export_image","arguments":{"id":"` + id + `","size":"64x64"}}`} {
			m := w.request(t, "tools/call", request)
			assert.Contains(t, string(m.Result), id, name)
			assert.NotContains(t, string(m.Result), `"isError":true`, name)
		}
	}
	assert.EqualValues(t, 1, r.sandbox.Posts())
	assert.Contains(t, makeImages(t, r.streamable(t, true, bearer(bobToken)...), "bob's own", 1), `"status":"saved"`)
}

// The sessions and streams of an owner who is refused end, and each call gets 403 until
// the file allows the owner again. A file with a mistake changes nothing and is logged
// once.
func TestQuotaFile_Refuse(t *testing.T) {
	t.Parallel()
	r := newQuotaRig(t, "alice pictures=2\n")
	session := r.session(t, bearer(aliceToken)...)
	stream := r.openSSE(t, bearer(aliceToken)...)
	r.write(t, "alice refuses\n")
	const failed = "failed to reload the quotas"
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), failed) }, patience, time.Millisecond)
	status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Ping, session...)
	assert.Equal(t, http.StatusOK, status)

	r.write(t, "* refuse\nbob pictures=1\n")
	for range stream.incoming { // until it ends
		continue
	}
	assert.Equal(t, 1, strings.Count(r.log.String(), failed))
	for _, path := range []string{"/mcp", stream.endpoint} {
		status, text := r.ask(t, http.MethodPost, path, testrig.Ping, session...)
		assert.Equal(t, http.StatusForbidden, status, path)
		assert.NotEmpty(t, text)
	}
	status, _ = r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, bearer(bobToken)...)
	assert.Equal(t, http.StatusOK, status, "bob has a line")

	r.write(t, "bob pictures=1\n")
	require.Eventually(t, func() bool {
		status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Initialize, bearer(aliceToken)...)
		return status == http.StatusOK
	}, patience, 5*time.Millisecond)
	status, _ = r.ask(t, http.MethodPost, "/mcp", testrig.Ping, session...)
	assert.Equal(t, http.StatusNotFound, status, "the session was closed")
}

// Without tokens, everybody is one owner, and the file applies to that owner.
func TestQuotaFile_RefuseWithoutTokens(t *testing.T) {
	t.Parallel()
	r := newQuotaRigAt(t, web.ListenConfig{}, "* refuse\n")
	for path, want := range map[string]int{"/mcp": http.StatusForbidden, "/metrics": http.StatusForbidden, "/healthz": http.StatusOK} {
		status, text := r.ask(t, http.MethodGet, path, "")
		assert.Equal(t, want, status, path)
		assert.NotEmpty(t, text, path)
	}
}
