package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// A library whose catalog is a database, with its URL in a variable or in a file.
func TestCatalog_Postgres(t *testing.T) {
	t.Parallel()
	database := testrig.Postgres(t)
	file := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(file, []byte(database+"\n"), 0o600))
	store := "ZAI_IMAGE_STORE=" + t.TempDir()
	for name, env := range map[string][]string{
		"variable": {store, "ZAI_IMAGE_CATALOG=" + database},
		"file":     {store, "ZAI_IMAGE_CATALOG_FILE=" + file},
	} {
		_, errs, exit := run(t, env, "generate", "--sandbox", "a fox, "+name)
		require.Zero(t, exit, errs)
	}
	out, errs, exit := run(t, []string{store}, "images", "list", "--catalog", database)
	require.Zero(t, exit, errs)
	assert.Contains(t, out, "a fox, variable")
	assert.Contains(t, out, "a fox, file")
	out, errs, _ = run(t, []string{store, "ZAI_IMAGE_CATALOG=" + database}, "doctor")
	assert.Regexp(t, `ok +catalog +2 images, no problems`, out, errs)
	assert.NotContains(t, out, "WARNING  catalog")
}

// Without its database nothing is paid, and every command says what to do.
func TestCatalog_PostgresAway(t *testing.T) {
	t.Parallel()
	env := []string{"ZAI_IMAGE_CATALOG=postgres://ann:s3cret@127.0.0.1:1/images"}
	const advice = "Ask the user to start the server of the catalog postgres://127.0.0.1:1/images"
	_, errs, exit := run(t, env, "generate", "--sandbox", "a fox")
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, "the server refused the connection")
	assert.Contains(t, errs, advice)
	assert.Contains(t, errs, "(kind: storage)")
	assert.NotContains(t, errs, "s3cret")
	_, errs, exit = run(t, env, "images", "list")
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, advice)
	assert.NotContains(t, errs, "s3cret")
	out, _, exit := run(t, env, "doctor")
	assert.Equal(t, 3, exit)
	assert.Regexp(t, `PROBLEM +catalog .*the server refused the connection.*`+advice, out)
	assert.NotContains(t, out, "s3cret")
}

// A file with something else is refused, and its content is not shown.
func TestCatalog_InvalidFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(file, []byte("user=ann password=s3cret"), 0o600))
	_, errs, exit := run(t, []string{"ZAI_IMAGE_CATALOG_FILE=" + file})
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "does not contain the URL of a PostgreSQL database")
	assert.NotContains(t, errs, "s3cret")
}
