package terminal_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/terminal"
)

func TestHealth(t *testing.T) {
	for status, healthy := range map[int]bool{http.StatusOK: true, http.StatusServiceUnavailable: false, http.StatusNotFound: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "/healthz", r.URL.Path)
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		var out bytes.Buffer
		err := terminal.Health(t.Context(), server.Listener.Addr().String(), &out)
		if healthy {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, http.StatusText(status))
		}
		assert.Equal(t, healthy, out.Len() > 0)
	}
	require.Error(t, terminal.Health(t.Context(), "nowhere", &bytes.Buffer{}))
}
