package resources_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// A Blob has the JSON of mcp-go's type.
func TestBlob_MarshalJSON(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "a", "\xfb\xff<>", "hello"} {
		same := mcp.BlobResourceContents{URI: "a<b", MIMEType: "image/png", Meta: map[string]any{"x": 1}}
		blob := resources.Blob{BlobResourceContents: same, Data: []byte(data)}
		same.Blob = base64.StdEncoding.EncodeToString([]byte(data))
		want, err := json.Marshal([]mcp.ResourceContents{same})
		require.NoError(t, err)
		got, err := json.Marshal([]mcp.ResourceContents{blob})
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got))
	}
}
