package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A server over HTTP does not start with a mistake in the file of quotas, and says where
// it is. Over stdio the file is ignored.
func TestQuotas_Mistake(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "quotas")
	require.NoError(t, os.WriteFile(file, []byte("* pictures=5\nalice budget=much\n"), 0o600))
	for _, transport := range []string{"http", "sse"} {
		out, errs, exit := run(t, nil, "--sandbox", "--transport", transport, "--listen", "127.0.0.1:0", "--quotas", file)
		assert.Equal(t, 2, exit)
		assert.Empty(t, out)
		assert.Contains(t, errs, "--quotas: "+file+": line 2: budget=much: not an amount of dollars")
	}
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_images","arguments":{}}}`
	assert.Contains(t, ask(t, []string{"ZAI_IMAGE_SANDBOX=1", "ZAI_IMAGE_QUOTAS=" + file}, list), `"images":[]`)
}
