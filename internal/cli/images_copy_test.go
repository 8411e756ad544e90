package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// images copy prints what it copied. Its target has the same images and spending.
func TestImagesCopy(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	for _, prompt := range []string{"a fox", "an owl", "a cat"} {
		_, errs, exit := run(t, nil, "generate", "--sandbox", "--store", from, "--size", "512x512", prompt)
		require.Zero(t, exit, errs)
	}
	copied := func(args ...string) (out string, exit int) {
		out, errs, exit := run(t, nil, append([]string{"images", "copy", "--store", from}, args...)...)
		require.Empty(t, errs)
		return out, exit
	}
	out, exit := copied("--to-store", to)
	assert.Zero(t, exit)
	assert.Contains(t, out, "3 images, 3 of them new and 0 brought up to date; 3 files of ")
	assert.Equal(t, listOf(t, from), listOf(t, to))

	out, exit = copied("--to-store", to, "--json")
	assert.Zero(t, exit)
	assert.JSONEq(t, `{"images":3,"added":0,"updated":0,"files":0,"bytes":0,"links_kept":true,"working":[],"problems":[]}`, out)

	// A damaged file is reported, and the command fails.
	other := filepath.Join(t.TempDir(), "other")
	files, err := filepath.Glob(filepath.Join(from, "*", "*", "*", "a-fox-*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.Truncate(files[0], 10))
	out, exit = copied("--to-store", other)
	assert.Equal(t, 1, exit)
	assert.Contains(t, out, "damaged")
	assert.Contains(t, out, "could not be copied: 1.")
	out, exit = copied("--to-store", other, "--json")
	assert.Equal(t, 1, exit)
	var report resources.CopyReport
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Equal(t, resources.Damaged, report.Problems[0].Kind)
}

// images copy can be set by variables, and its errors name the settings of the target.
func TestImagesCopy_Target(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	_, errs, exit := run(t, nil, "images", "copy", "--to-store", to)
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, "there is no library to copy")
	_, errs, exit = run(t, nil, "generate", "--sandbox", "--store", from, "--size", "512x512", "a fox")
	require.Zero(t, exit, errs)
	env := []string{"ZAI_IMAGE_STORE=" + from, "ZAI_IMAGE_CATALOG=" + filepath.Join(from, ".catalog.db"), "ZAI_IMAGE_TO_STORE=" + to}
	_, errs, exit = run(t, env, "images", "copy")
	require.Zero(t, exit, errs)
	assert.FileExists(t, filepath.Join(to, ".catalog.db"))

	for _, tt := range []struct {
		args []string
		env  []string
		want string
	}{
		{nil, nil, "--to-store is missing"},
		{[]string{"--to-store", from}, nil, "--to-catalog names the catalog that is to be copied"},
		{[]string{"--to-store", "$HOME/x"}, nil, "--to-store $HOME/x"},
		{[]string{"--to-store", to, "--to-catalog", "postgres://u:secret@h/d"}, nil, "ZAI_IMAGE_TO_CATALOG_FILE"},
		{[]string{"--to-store", to}, []string{"ZAI_IMAGE_TO_CATALOG_FILE=/does/not/exist"}, "ZAI_IMAGE_TO_CATALOG_FILE"},
	} {
		_, errs, exit := run(t, append([]string{"ZAI_IMAGE_STORE=" + from}, tt.env...), append([]string{"images", "copy"}, tt.args...)...)
		assert.Equal(t, 2, exit)
		assert.Contains(t, errs, tt.want)
		assert.NotContains(t, errs, "secret")
	}
}

// A library is copied to PostgreSQL and S3, and back.
func TestImagesCopy_PostgresAndS3(t *testing.T) {
	t.Parallel()
	store, catalog := testrig.S3(t), testrig.Postgres(t)
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	_, errs, exit := run(t, nil, "generate", "--sandbox", "--store", from, "--size", "512x512", "a fox")
	require.Zero(t, exit, errs)
	file := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(file, []byte(catalog+"\n"), 0o600))
	env := []string{"AWS_ACCESS_KEY_ID=" + os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + os.Getenv("AWS_SECRET_ACCESS_KEY")}
	_, errs, exit = run(t, append(env, "ZAI_IMAGE_TO_CATALOG_FILE="+file), "images", "copy", "--store", from, "--to-store", store)
	require.Zero(t, exit, errs)
	env = append(env, "ZAI_IMAGE_STORE="+store, "ZAI_IMAGE_CATALOG="+catalog)
	out, errs, exit := run(t, env, "images", "check", "--read-data")
	require.Zero(t, exit, out+errs)
	_, errs, exit = run(t, env, "images", "copy", "--to-store", to)
	require.Zero(t, exit, errs)
	assert.Equal(t, listOf(t, from), listOf(t, to))
}

// listOf returns the images of a library, and what was spent.
func listOf(t *testing.T, store string) (list [2]string) {
	t.Helper()
	for n, args := range [][]string{{"list"}, {"spend"}} {
		out, errs, exit := run(t, nil, append([]string{"images", "--store", store}, args...)...)
		require.Zero(t, exit, errs)
		list[n] = out
	}
	return list
}
