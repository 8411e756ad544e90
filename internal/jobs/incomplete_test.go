package jobs_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// An image that is cut off is fetched again, and is not called saved.
func TestPipeline_IncompleteDownload(t *testing.T) {
	service := sandbox.New(sandbox.Options{})
	var downloads atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/files/") {
			downloads.Add(1)
		}
		service.ServeHTTP(w, r)
	}))
	defer api.Close()
	client, err := zai.NewClient("key", zai.WithBaseURL(api.URL+sandbox.BasePath))
	require.NoError(t, err)
	defer client.Close()
	r := newRig(t, func(c *jobs.Config) { c.Client = client })
	call, err := r.Start(t.Context(), order("a fox sandbox:cut"), nil)
	require.NoError(t, err)
	<-call.Jobs[0].Done()
	row := r.row(t, ids(call)[0])
	assert.Equal(t, resources.Answered, row.State)
	assert.True(t, row.Charged)
	assert.Contains(t, row.UpstreamURL, "/files/", "the link is kept")
	require.NotNil(t, row.Failure)
	assert.EqualValues(t, string(zai.KindDownload), row.Failure.Kind)
	assert.EqualValues(t, 3, downloads.Load())
	assert.EqualValues(t, 1, service.Accepted())
}
