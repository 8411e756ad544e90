package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/cli"
	"zai-image-mcp/zai/sandbox"
)

// A leading ~/ is replaced by the home folder in every path. No folder named ~ is
// created.
func TestPaths_HomeFolder(t *testing.T) {
	api := startAPI(t, sandbox.Options{Key: "the-key"})
	home := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(home, "key"), []byte("the-key\n"), 0o600))
	keyed := []string{"ZAI_API_KEY_FILE=~/key", "ZAI_BASE_URL=" + api}
	fox := []string{"generate", "--size", "512x512", "a fox"}
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		made string // below the home folder
	}{
		{"store in a variable", append(keyed, "ZAI_IMAGE_STORE=~/ai"), fox, "ai/.catalog.db"},
		{"store in a flag", keyed, append(fox, "--store=~/flag"), "flag/.catalog.db"},
		{"home itself", keyed, append(fox, "--store=~"), ".catalog.db"},
		{"catalog in a variable", append(keyed, "ZAI_IMAGE_CATALOG=~/variable.db"), fox, "variable.db"},
		{"catalog in a flag", keyed, append(fox, "--catalog=~/flag.db"), "flag.db"},
		{"copy", keyed, append(fox, "-o", "~/copy.png"), "copy.png"},
		{"store of images", []string{"ZAI_IMAGE_STORE=~/ai"}, []string{"images", "list"}, "ai/.catalog.db"},
		{"key file of a host", nil, []string{"config", "cursor", "--write", "--key-file=~/key"}, ".cursor/mcp.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here := t.TempDir()
			t.Chdir(here)
			out, errs, exit := execute(t, newProcess(t, home, append(tt.env, "XDG_PICTURES_DIR="+filepath.Join(home, "Pictures"))), tt.args...)
			require.Zero(t, exit, out+errs)
			assert.FileExists(t, filepath.Join(home, filepath.FromSlash(tt.made)))
			isEmpty(t, here, "nothing in the current folder")
			assert.NoDirExists(t, filepath.Join(home, "~"))
		})
	}
	entry, err := os.ReadFile(filepath.Join(home, ".cursor", "mcp.json"))
	require.NoError(t, err)
	key, err := json.Marshal(filepath.Join(home, "key"))
	require.NoError(t, err)
	assert.Contains(t, string(entry), string(key))
}

func TestPaths_TokenFileInHomeFolder(t *testing.T) {
	t.Parallel()
	for _, as := range []struct{ env, args []string }{
		{nil, []string{"--auth-tokens=~/tokens"}}, {[]string{"ZAI_IMAGE_AUTH_TOKENS=~/tokens"}, nil},
	} {
		home := t.TempDir()
		_, errs, exit := execute(t, newProcess(t, home, as.env), append(as.args, "--sandbox", "--transport", "http", "--listen", "127.0.0.1:0")...)
		require.NotZero(t, exit, "the file does not exist")
		assert.Contains(t, errs, filepath.Join(home, "tokens"))
	}
}

// A path with a variable is an error, because hosts differ in which variables they
// replace.
func TestPaths_UnexpandedVariable(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	for _, folder := range []string{"$HOME/ai", "${HOME}/ai", "${env:HOME}/ai", "{env:HOME}/ai", `%USERPROFILE%\ai`} {
		for _, args := range [][]string{{"--sandbox"}, {"generate", "--sandbox", "a fox"}, {"images", "list"}} {
			_, errs, exit := run(t, []string{"ZAI_IMAGE_STORE=" + folder}, args...)
			assert.Equal(t, 2, exit)
			assert.Contains(t, errs, "--store "+folder)
		}
	}
	isEmpty(t, here, "no folder with the name of the variable")
	_, errs, exit := run(t, []string{"ZAI_IMAGE_STORE=" + filepath.Join(t.TempDir(), "$100 %a%")}, "generate", "--sandbox", "--size", "512x512", "a fox")
	assert.Zero(t, exit, "within a path, $ and %% are part of a name: %s", errs)
}

// The absolute forms of relative paths are logged, because hosts start servers in
// any folder.
func TestPaths_RelativePathsAreLogged(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	require.NoError(t, err)
	_, log, exit := run(t, []string{"ZAI_IMAGE_STORE=pictures"}, "--sandbox", "--catalog", "catalogs/c.db")
	require.Zero(t, exit)
	for _, name := range []string{"pictures", filepath.Join("catalogs", "c.db")} {
		assert.Contains(t, strings.ReplaceAll(log, `\\`, `\`), filepath.Join(here, name))
	}
	_, log, exit = run(t, []string{"ZAI_IMAGE_STORE=" + here}, "--sandbox")
	require.Zero(t, exit)
	assert.NotContains(t, log, "relative")
}

func TestExpandHome(t *testing.T) {
	t.Parallel()
	home := filepath.FromSlash("/home/me")
	for name, want := range map[string]string{
		"~": home, "~/": home, "~/a/b": filepath.Join(home, "a", "b"), "~bob/a": "~bob/a", "a/~/b": "a/~/b", "": "", "/a": "/a", "~~": "~~",
	} {
		assert.Equal(t, want, cli.ExpandHome(name, home), name)
	}
	assert.Equal(t, "~/a", cli.ExpandHome("~/a", ""), "the home folder is unknown")
}
