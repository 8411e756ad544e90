package mcpserver_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/web"
)

// ping uses a session and returns the status of the answer.
func (r *webRig) ping(t testing.TB, named []string) int {
	t.Helper()
	status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Ping, named...)
	return status
}

// Clients seldom close their sessions. One that is idle makes room for a new
// one, and only when all are in use is a client refused.
func TestSessions_IdleOnesMakeRoom(t *testing.T) {
	t.Parallel()
	r := newWebRig(t, webOptions{web: func(c *web.Config) { c.Limits.Sessions = 3 }})
	first, listening, third := r.session(t), r.session(t), r.session(t)
	stream := r.do(t, http.MethodGet, "/mcp", "", listening...)
	require.Equal(t, http.StatusOK, stream.StatusCode)
	require.Equal(t, http.StatusOK, r.ping(t, first))
	for range 5 { // the third makes room for the first of these, and each of these for the next
		r.session(t)
		require.Equal(t, http.StatusNotFound, r.ping(t, third))
		require.Equal(t, http.StatusOK, r.ping(t, first), "it was used last")
		require.Equal(t, http.StatusOK, r.ping(t, listening), "an open stream is not idle")
	}
	last := r.session(t)
	streams := []*http.Response{r.do(t, http.MethodGet, "/mcp", "", first...), r.do(t, http.MethodGet, "/mcp", "", last...)}
	response := r.do(t, http.MethodPost, "/mcp", testrig.Initialize)
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "all are in use")
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	require.NoError(t, err)
	assert.Positive(t, seconds)
	status, _ := r.ask(t, http.MethodPost, "/mcp", statelessCall(1, "list_images", "{}"), statelessHeaders("tools/call", "list_images")...)
	assert.Equal(t, http.StatusOK, status, "requests that need no session are served")
	streams[0].Body.Close()
	assert.Eventually(t, func() bool {
		status, _ := r.ask(t, http.MethodPost, "/mcp", testrig.Initialize)
		return status == http.StatusOK
	}, patience, 10*time.Millisecond, "the first is idle now")
	assert.Equal(t, http.StatusOK, r.ping(t, last))
	streams[1].Body.Close()
	stream.Body.Close()
}

// A new session replaces one of its owner, else one of an owner that has more
// sessions.
func TestSessions_OwnersMakeRoom(t *testing.T) {
	t.Parallel()
	owners := []string{"alice", "bob", "carol", "dave", "erin"}
	var lines []string
	as := func(owner string) []string { return bearer(owner + "-0123456789abcdef") }
	for _, owner := range owners {
		lines = append(lines, owner+":"+owner+"-0123456789abcdef")
	}
	r := newWebRig(t, webOptions{
		address: web.ListenConfig{AuthTokens: testrig.TokenFile(t, lines...)},
		web:     func(c *web.Config) { c.Limits.Sessions = 8 }, // two for each
	})
	opened := map[string][][]string{}
	for range 3 {
		for _, owner := range owners[:4] {
			opened[owner] = append(opened[owner], r.session(t, as(owner)...))
		}
	}
	for _, owner := range owners[:4] {
		assert.Equal(t, http.StatusNotFound, r.ping(t, opened[owner][0]), "its own third session took the place")
		assert.Equal(t, http.StatusOK, r.ping(t, opened[owner][1]))
		assert.Equal(t, http.StatusOK, r.ping(t, opened[owner][2]))
	}
	// The limit is reached, and the fifth owner has no session.
	erin := r.session(t, as("erin")...)
	assert.Equal(t, http.StatusNotFound, r.ping(t, opened["alice"][1]), "the one that is idle longest of those with two")
	again := r.session(t, as("erin")...)
	assert.Equal(t, http.StatusNotFound, r.ping(t, erin), "nobody has more than one beyond its own")
	assert.Equal(t, http.StatusOK, r.ping(t, again))
	for _, named := range [][]string{opened["alice"][2], opened["bob"][1], opened["bob"][2], opened["carol"][1], opened["dave"][2]} {
		assert.Equal(t, http.StatusOK, r.ping(t, named))
	}
}

// A session that is not used after its handshake counts as abandoned.
func TestSessions_HalfOpen(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	r := newWebRig(t, webOptions{config: func(c *settings) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}})
	abandoned, used := r.session(t), r.session(t)
	require.Equal(t, http.StatusOK, r.ping(t, used))
	ahead.Store(int64(61 * time.Second))
	require.Eventually(t, func() bool {
		_, text := r.ask(t, http.MethodGet, "/metrics", "")
		return strings.Contains(text, "\nzai_image_sessions 1\n")
	}, patience, 5*time.Millisecond)
	assert.Equal(t, http.StatusNotFound, r.ping(t, abandoned))
	assert.Equal(t, http.StatusOK, r.ping(t, used))
}

// A client in the same process whose handshake fails leaves no session behind.
func TestClient_FailedHandshake(t *testing.T) {
	t.Parallel()
	s := newServer(t, testrig.API(t), io.Discard, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Client(ctx, "test", "1")
	require.Error(t, err)
	assert.Zero(t, s.Sessions())
}
