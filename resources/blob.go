package resources

import (
	"encoding/base64"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
)

// Blob is an mcp.BlobResourceContents that is encoded as base64 only when it is
// written, so that transports need not hold the base64 of an image.
type Blob struct {
	mcp.BlobResourceContents // without the field Blob
	Data                     []byte
}

// Unencoded returns the data, and the resource without it.
func (b Blob) Unencoded() (resource mcp.BlobResourceContents, data []byte) {
	return b.BlobResourceContents, b.Data
}

// MarshalJSON returns the JSON of the mcp.BlobResourceContents.
func (b Blob) MarshalJSON() ([]byte, error) {
	whole := b.BlobResourceContents
	whole.Blob = base64.StdEncoding.EncodeToString(b.Data)
	return json.Marshal(whole)
}
