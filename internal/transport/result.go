package transport

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/mark3labs/mcp-go/mcp"
)

// unencodedBlob is a resource of binary data that is not base64 yet.
type unencodedBlob interface {
	// Unencoded returns the data, and the resource without it.
	Unencoded() (resource mcp.BlobResourceContents, data []byte)
}

// encodeResult returns the JSON of a result. Blobs bypass the JSON encoder,
// which would scan each of their characters three times: base64 needs no
// escaping. Each is replaced by a character that no base64 text contains, and
// spliced in afterwards. The field _meta of a resource is the program's own and has no
// such text.
func encodeResult(result any) ([]part, error) {
	const placeholder, field = "\x00", `"blob":"\u0000"`
	result, blobs := withoutBlobs(result, placeholder)
	all, err := json.Marshal(result)
	if err != nil {
		return nil, err
	}
	if len(blobs) == 0 {
		return []part{text(all)}, nil
	}
	// Quotes inside strings are escaped, so only the fields themselves match.
	pieces := bytes.Split(all, []byte(field))
	if len(pieces) != len(blobs)+1 {
		return nil, errors.New("blob without its field")
	}
	parts := []part{text(pieces[0])}
	for i, blob := range blobs {
		parts = append(parts, text(`"blob":"`), encoded(blob), text(`"`), text(pieces[i+1]))
	}
	return parts, nil
}

// withoutBlobs returns a result whose unencoded blobs are replaced, and these
// blobs. The original is not changed.
func withoutBlobs(result any, placeholder string) (replaced any, blobs [][]byte) {
	pointer, ok := result.(*mcp.ReadResourceResult)
	if !ok {
		return result, nil
	}
	read := *pointer
	read.Contents = append([]mcp.ResourceContents{}, pointer.Contents...)
	for i, contents := range pointer.Contents {
		if blob, ok := contents.(unencodedBlob); ok {
			resource, data := blob.Unencoded()
			resource.Blob = placeholder
			read.Contents[i] = resource
			blobs = append(blobs, data)
		}
	}
	if len(blobs) == 0 {
		return result, nil
	}
	return read, blobs
}
