package transport

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A blob that bypasses the encoder gives the same JSON.
func TestEncodeResult_Blobs(t *testing.T) {
	blob := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("image ", 1000)))
	for _, result := range []any{
		&mcp.ReadResourceResult{Contents: []mcp.ResourceContents{
			mcp.BlobResourceContents{URI: `odd "blob":"" uri`, MIMEType: "image/png", Blob: blob, Meta: map[string]any{"blob": "", "x": `"blob":""`}},
			mcp.TextResourceContents{URI: "t", Text: `"blob":""`},
		}},
		&mcp.ReadResourceResult{Contents: []mcp.ResourceContents{mcp.TextResourceContents{URI: "t", Text: "x"}}},
		&mcp.ReadResourceResult{Contents: []mcp.ResourceContents{}},
		mcp.EmptyResult{},
	} {
		want, err := json.Marshal(result)
		require.NoError(t, err)
		got, err := encodeResult(result)
		require.NoError(t, err)
		assert.JSONEq(t, string(want), got.before+got.blob+got.after)
	}
}
