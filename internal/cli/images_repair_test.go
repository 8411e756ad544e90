package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai/sandbox"
)

// images check, repair and reindex find and repair problems, and exit with a
// status for scripts.
func TestImages_CheckRepairReindex(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	env := []string{"ZAI_IMAGE_STORE=" + folder, "ZAI_API_KEY=the-key", "ZAI_BASE_URL=" + startAPI(t, sandbox.Options{})}
	_, errs, exit := run(t, env, "images", "check")
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, "no catalog")
	var paths []string
	for _, prompt := range []string{"a fox", "an owl", "a hare"} {
		out, errs, exit := run(t, env, "generate", "--size", "512x512", prompt)
		require.Zero(t, exit, errs)
		path, _, _ := strings.Cut(out, "\n")
		paths = append(paths, path)
	}
	out, _, exit := run(t, env, "images", "check", "--read-data")
	assert.Zero(t, exit)
	assert.Contains(t, out, "3 images")
	assert.Contains(t, out, "no problems")
	fox, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	damaged := bytes.Clone(fox)
	damaged[len(damaged)/2] ^= 1
	require.NoError(t, os.WriteFile(paths[0], damaged, 0o600))
	require.NoError(t, os.Remove(paths[1]))
	out, _, exit = run(t, env, "images", "check")
	assert.Equal(t, 3, exit)
	assert.Contains(t, out, "missing")
	assert.NotContains(t, out, "damaged", "only --read-data detects it")
	out, _, exit = run(t, env, "images", "check", "--read-data", "--json")
	assert.Equal(t, 3, exit)
	var report struct{ Problems []struct{ Kind string } }
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Len(t, report.Problems, 2)
	// A file that cannot be quarantined is reported as an error.
	inTheWay := filepath.Join(folder, ".damaged")
	require.NoError(t, os.WriteFile(inTheWay, nil, 0o600))
	out, _, exit = run(t, env, "images", "repair", "--read-data")
	assert.Equal(t, 3, exit)
	assert.Contains(t, out, "moving a file there")
	assert.Contains(t, out, "fetched ", "the missing one")
	require.NoError(t, os.Remove(inTheWay))
	out, errs, exit = run(t, env, "images", "repair", "--read-data", "--json")
	assert.Zero(t, exit, out+errs)
	var repaired struct {
		Repaired []struct{ Kind, Done string }
		Now      struct{ Pictures int }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &repaired))
	assert.Equal(t, "damaged", repaired.Repaired[0].Kind)
	assert.Equal(t, 3, repaired.Now.Pictures)
	again, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	assert.Equal(t, fox, again, "the same bytes")
	// If every file is missing, repair changes nothing: the disk may not be mounted.
	away := t.TempDir()
	require.NoError(t, os.Rename(filepath.Join(folder, ".catalog.db"), filepath.Join(away, ".catalog.db")))
	_, errs, exit = run(t, append(env, "ZAI_IMAGE_STORE="+away), "images", "repair")
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, "mounted")
	// If the catalog is lost, reindex adds the files to a new one.
	out, _, exit = run(t, env, "images", "reindex")
	assert.Zero(t, exit)
	assert.Contains(t, out, "3 files added")
	out, _, exit = run(t, env, "images", "spend", "--json")
	assert.Zero(t, exit)
	assert.JSONEq(t, "[]", out, "files do not contain their cost")
	out, _, _ = run(t, append(env, "ZAI_IMAGE_STORE="+away), "images", "spend")
	assert.Contains(t, out, "$0.030 since")
}
