package cli

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai/sandbox"
)

// A leading ~/ is the home folder in every path, and never a folder called ~.
func TestHomeFolder_InEveryPath(t *testing.T) {
	api := httptest.NewServer(sandbox.New(sandbox.Options{Key: "the-key"}))
	t.Cleanup(api.Close)
	home := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(home, "key"), []byte("the-key\n"), 0o600))
	keyed := []string{"ZAI_API_KEY_FILE=~/key", "ZAI_BASE_URL=" + api.URL + sandbox.BasePath}
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
			c := command(t, home, append(tt.env, "XDG_PICTURES_DIR="+filepath.Join(home, "Pictures")), tt.args...)
			c.Dir = t.TempDir()
			out, err := c.CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.FileExists(t, filepath.Join(home, filepath.FromSlash(tt.made)))
			here, err := os.ReadDir(c.Dir)
			require.NoError(t, err)
			assert.Empty(t, here)
			assert.NoDirExists(t, filepath.Join(home, "~"))
		})
	}
	entry, err := os.ReadFile(filepath.Join(home, ".cursor", "mcp.json"))
	require.NoError(t, err)
	assert.Contains(t, string(entry), string(must(json.Marshal(filepath.Join(home, "key")))))
}

func must(b []byte, _ error) []byte { return b }

func TestHomeFolder_TokenFile(t *testing.T) {
	for _, as := range []struct{ env, args []string }{
		{nil, []string{"--auth-tokens=~/tokens"}}, {[]string{"ZAI_IMAGE_AUTH_TOKENS=~/tokens"}, nil},
	} {
		home := t.TempDir()
		c := command(t, home, as.env, append(as.args, "--sandbox", "--transport", "http", "--listen", "127.0.0.1:0")...)
		said, err := c.CombinedOutput()
		require.Error(t, err, "there is no such file yet")
		assert.Contains(t, string(said), filepath.Join(home, "tokens"))
	}
}

// Hosts differ in which variables of an entry they fill in.
func TestFolder_VariableThatNobodyFilledIn(t *testing.T) {
	for _, folder := range []string{"$HOME/ai", "${HOME}/ai", "${env:HOME}/ai", "{env:HOME}/ai", `%USERPROFILE%\ai`} {
		for _, args := range [][]string{{"--sandbox"}, {"generate", "--sandbox", "a fox"}, {"images", "list"}} {
			c := command(t, t.TempDir(), []string{"ZAI_IMAGE_STORE=" + folder}, args...)
			c.Dir = t.TempDir()
			said, err := c.CombinedOutput()
			require.Error(t, err)
			assert.Equal(t, 2, c.ProcessState.ExitCode())
			assert.Contains(t, string(said), "--store "+folder)
			left, err := os.ReadDir(c.Dir)
			require.NoError(t, err)
			assert.Empty(t, left)
		}
	}
	_, errs, exit := run(t, []string{"ZAI_IMAGE_STORE=" + filepath.Join(t.TempDir(), "$100 %a%")}, "generate", "--sandbox", "--size", "512x512", "a fox")
	assert.Zero(t, exit, "inside a path it is a name like others: %s", errs)
}

// Hosts start servers in folders of their own choice.
func TestRelativeFolder_IsLoggedAbsolute(t *testing.T) {
	c := command(t, t.TempDir(), []string{"ZAI_IMAGE_STORE=pictures"}, "--sandbox", "--catalog", "catalogs/c.db")
	c.Dir = t.TempDir()
	var log bytes.Buffer
	c.Stderr, c.Stdin = &log, strings.NewReader("")
	require.NoError(t, c.Run())
	here, err := filepath.EvalSymlinks(c.Dir)
	require.NoError(t, err)
	for _, name := range []string{"pictures", filepath.Join("catalogs", "c.db")} {
		assert.Contains(t, strings.ReplaceAll(log.String(), `\\`, `\`), filepath.Join(here, name))
	}
	c = command(t, t.TempDir(), []string{"ZAI_IMAGE_STORE=" + c.Dir}, "--sandbox")
	log.Reset()
	c.Stderr, c.Stdin = &log, strings.NewReader("")
	require.NoError(t, c.Run())
	assert.NotContains(t, log.String(), "relative")
}
