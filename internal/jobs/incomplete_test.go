package jobs_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// A download that is cut off is started again, and its image is not reported as
// saved.
func TestFetch_IncompleteDownload(t *testing.T) {
	t.Parallel()
	r := testrig.Pipeline(t, testrig.Options{})
	call, err := r.Start(t.Context(), order("a fox sandbox:cut"), nil)
	require.NoError(t, err)
	<-call.Jobs[0].Done()
	image, err := r.Library.Image(t.Context(), "local", ids(call)[0])
	require.NoError(t, err)
	assert.Equal(t, resources.Answered, image.State)
	assert.True(t, image.Charged)
	assert.Contains(t, image.UpstreamURL, "/files/", "the link is kept")
	require.NotNil(t, image.Failure)
	assert.Equal(t, resources.KindDownload, image.Failure.Kind)
	assert.EqualValues(t, 3, r.API.Downloads())
	assert.EqualValues(t, 1, r.API.Accepted())
}
