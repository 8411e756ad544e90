package cli_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// The health check of a container has no arguments, only the environment of the
// server.
func TestHealth_EnvironmentOfTheServer(t *testing.T) {
	t.Parallel()
	tokens := testrig.TokenFile(t, "somebody:a-token-of-more-than-thirty-two-bytes")
	for _, listen := range []string{"0.0.0.0:0", "127.0.0.1:0"} {
		env := []string{"ZAI_IMAGE_TRANSPORT=http", "ZAI_IMAGE_AUTH_TOKENS=" + tokens, "ZAI_IMAGE_STORE=" + t.TempDir(), "ZAI_IMAGE_LOG_FORMAT=json"}
		log, stop := start(t, newProcess(t, t.TempDir(), append(env, "ZAI_IMAGE_LISTEN="+listen, "ZAI_IMAGE_PUBLIC_URL=https://pictures.example")), "--sandbox")
		_, port, err := net.SplitHostPort(testrig.Listening(t, log))
		require.NoError(t, err)
		check := slices.Concat(env, []string{"ZAI_IMAGE_LISTEN=" + strings.TrimSuffix(listen, "0") + port})
		out, errs, exit := run(t, check, "health")
		assert.Zero(t, exit, errs)
		assert.Equal(t, "ok\n", out)
		require.Zero(t, stop())
		_, errs, exit = run(t, check, "health")
		assert.Equal(t, 1, exit)
		assert.Contains(t, errs, "no server")
	}
	_, _, exit := run(t, nil, "health")
	assert.Zero(t, exit, "with stdio there is nothing to check")
	_, errs, exit := run(t, nil, "health", "--transport", "http", "--listen", "nowhere")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "--listen")
}

func TestHealth_Status(t *testing.T) {
	t.Parallel()
	for status, healthy := range map[int]bool{http.StatusOK: true, http.StatusServiceUnavailable: false, http.StatusNotFound: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "/healthz", r.URL.Path)
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		out, errs, exit := run(t, nil, "health", "--transport", "http", "--listen", server.Listener.Addr().String())
		if healthy {
			require.Zero(t, exit, errs)
		} else {
			require.Equal(t, 1, exit)
			require.Contains(t, errs, http.StatusText(status))
		}
		assert.Equal(t, healthy, out != "")
	}
}
