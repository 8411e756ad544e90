package zai_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

// KeyID is the same for all clients with a key, differs between keys, and contains
// no part of the key.
func TestClient_KeyID(t *testing.T) {
	t.Parallel()
	id := func(key string, options ...zai.Option) string {
		client, err := zai.NewClient(key, options...)
		require.NoError(t, err)
		defer client.Close()
		return client.KeyID()
	}
	const key = "0123456789abcdef0123456789abcdef.abcdef"
	first := id(key)
	assert.Regexp(t, `^[0-9a-f]{24}$`, first)
	assert.Equal(t, first, id(" "+key+"\n", zai.WithRegion(zai.China)))
	assert.NotEqual(t, first, id(key+"0"))
	assert.NotContains(t, first, key[:8])
}
