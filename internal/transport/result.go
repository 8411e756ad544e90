package transport

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// encodedResult is the JSON of a result in up to three parts, so that a large
// blob is not copied.
type encodedResult struct{ before, blob, after string }

// encodeResult marshals a result. The blob of the first resource bypasses the
// JSON encoder, which would scan each of its characters three times: base64
// needs no escaping. It is replaced by a character that no base64 text
// contains, and spliced in afterwards.
func encodeResult(result any) (encodedResult, error) {
	const placeholder, encoded = "\x00", `"blob":"\u0000"`
	result, blob := withoutBlob(result, placeholder)
	text, err := json.Marshal(result)
	if err != nil || blob == "" {
		return encodedResult{before: string(text)}, err
	}
	// Quotes inside strings are escaped, so only the field itself matches.
	before, after, found := strings.Cut(string(text), encoded)
	if !found {
		return encodedResult{}, errors.New("blob without its field")
	}
	return encodedResult{before + `"blob":"`, blob, `"` + after}, nil
}

// withoutBlob returns a result whose first blob is replaced, and that blob;
// the blob is empty if there is none. The original is not changed.
func withoutBlob(result any, placeholder string) (replaced any, blob string) {
	pointer, ok := result.(*mcp.ReadResourceResult)
	if !ok || len(pointer.Contents) == 0 {
		return result, ""
	}
	read := *pointer
	first, ok := read.Contents[0].(mcp.BlobResourceContents)
	if !ok {
		return result, ""
	}
	blob, first.Blob = first.Blob, placeholder
	read.Contents = append([]mcp.ResourceContents{first}, read.Contents[1:]...)
	return read, blob
}
