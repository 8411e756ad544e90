package program_test

import (
	"bytes"
	"encoding/json"
	"image"
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// callResult is the response to tools/call.
type callResult struct {
	ID     json.RawMessage
	Result struct {
		IsError           bool
		Content           []struct{ Type, Text string }
		StructuredContent struct {
			Images []struct {
				ID, Status string
				SavedAs    string `json:"saved_as"`
			}
		}
	}
}

// call starts the program in a folder, over stdio, and calls generate_image with save_as.
func call(t *testing.T, home, folder string, env []string, saveAs string) callResult {
	t.Helper()
	c := command(t, home, env)
	c.Dir = folder
	c.Stdin = strings.NewReader(strings.Join([]string{
		testrig.Initialize, testrig.Initialized,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"a fox","size":"512x512","save_as":"` + saveAs + `"}}}`,
	}, "\n") + "\n")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	require.NoError(t, err, errs.String())
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var r callResult
		require.NoError(t, d.Decode(&r))
		if string(r.ID) == "7" {
			require.NotEmpty(t, r.Result.Content, "%s", out)
			return r
		}
	}
	require.Fail(t, "no response", "%s", out)
	return callResult{}
}

// The project is the folder that Claude Code names, else the working directory.
func TestProject_SaveAs(t *testing.T) {
	t.Parallel()
	api := testrig.API(t)
	project, elsewhere := t.TempDir(), t.TempDir()
	env := append(api.Env(), "ZAI_IMAGE_STORE="+t.TempDir())
	for _, tt := range []struct {
		name   string
		folder string // working directory
		env    []string
		want   string
	}{
		{"CLAUDE_PROJECT_DIR", elsewhere, []string{"CLAUDE_PROJECT_DIR=" + project}, "assets/hero.png"},
		{"working directory", project, nil, "assets/hero-2.png"},
		{"ZAI_IMAGE_PROJECT", elsewhere, []string{"CLAUDE_PROJECT_DIR=" + elsewhere, "ZAI_IMAGE_PROJECT=" + project}, "assets/hero-3.png"},
	} {
		r := call(t, t.TempDir(), tt.folder, append(env, tt.env...), "assets/hero.png")
		require.False(t, r.Result.IsError, "%s: %s", tt.name, r.Result.Content[0].Text)
		assert.Contains(t, r.Result.Content[0].Text, tt.want, tt.name)
		require.Len(t, r.Result.StructuredContent.Images, 1)
		assert.Equal(t, tt.want, r.Result.StructuredContent.Images[0].SavedAs, tt.name)
		file, err := os.Open(filepath.Join(project, filepath.FromSlash(tt.want)))
		require.NoError(t, err, tt.name)
		config, format, err := image.DecodeConfig(file)
		require.NoError(t, err, tt.name)
		require.NoError(t, file.Close())
		assert.Equal(t, []any{"png", 512, 512}, []any{format, config.Width, config.Height}, tt.name)
	}
	files, err := os.ReadDir(elsewhere)
	require.NoError(t, err)
	assert.Empty(t, files)
}

// Without a project, save_as is refused before anything is paid.
func TestProject_NoneRefused(t *testing.T) {
	t.Parallel()
	api := testrig.API(t)
	home, project := t.TempDir(), t.TempDir()
	env := append(api.Env(), "ZAI_IMAGE_STORE="+t.TempDir())
	for _, tt := range []struct {
		name, folder string
		env          []string
		reason       string
	}{
		{"home", home, nil, "started the server in"},
		{"root", filepath.VolumeName(home) + string(filepath.Separator), nil, "started the server in"},
		{"variable", project, []string{"ZAI_IMAGE_PROJECT=${workspaceFolder}"}, "did not replace"},
		{"missing", project, []string{"CLAUDE_PROJECT_DIR=" + filepath.Join(project, "gone")}, "no such folder"},
		{"none", project, []string{"ZAI_IMAGE_PROJECT=none"}, "--project none"},
	} {
		r := call(t, home, tt.folder, append(env, tt.env...), "hero.png")
		assert.True(t, r.Result.IsError, tt.name)
		assert.Contains(t, r.Result.Content[0].Text, tt.reason, tt.name)
		assert.Contains(t, r.Result.Content[0].Text, "(kind: invalid_argument)", tt.name)
		assert.Zero(t, api.Posts(), tt.name)
	}
	files, err := os.ReadDir(project)
	require.NoError(t, err)
	assert.Empty(t, files)
}
