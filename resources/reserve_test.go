package resources_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// A folder that cannot be created is a storage error.
func TestReserve_UnusableFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	l := open(t, filepath.Join(file, "folder"))
	_, err := reserveOne(l, resources.Image{Owner: "local"}, 0)
	require.ErrorIs(t, err, resources.ErrStorage)
	_, _, err = l.List(t.Context(), "local", "", "", 10)
	require.ErrorIs(t, err, resources.ErrStorage)
}
