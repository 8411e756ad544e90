package zai

import (
	"crypto/sha256"
	"encoding/hex"
)

// KeyID returns an identifier of the client's key, for limits that apply to the
// key: 24 hexadecimal digits, the same for every client with this key. The key
// cannot be derived from it.
func (c *Client) KeyID() string {
	sum := sha256.Sum256([]byte("zai-image-mcp: identifier of an API key\x00" + c.key.value))
	return hex.EncodeToString(sum[:12])
}
