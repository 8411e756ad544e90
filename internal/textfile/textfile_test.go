package textfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/textfile"
)

func TestRead_Encodings(t *testing.T) {
	for name, raw := range map[string]string{
		"plain":                "key\r\n",
		"UTF-8 with BOM":       "\xef\xbb\xbfkey\r\n",
		"UTF-16 little endian": "\xff\xfek\x00e\x00y\x00\r\x00\n\x00",
		"UTF-16 big endian":    "\xfe\xff\x00k\x00e\x00y\x00\r\x00\n",
		"UTF-16, truncated":    "\xff\xfek\x00e\x00y\x00\r\x00\n\x00x",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			require.NoError(t, os.WriteFile(file, []byte(raw), 0o600))
			text, err := textfile.Read(file)
			require.NoError(t, err)
			assert.Contains(t, text, "key\r\n")
			assert.NotContains(t, text, "\ufeff")
		})
	}
	_, err := textfile.Read(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
