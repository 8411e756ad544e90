package hostconfig_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/hostconfig"
)

// The tables of the entry may be anywhere in the file.
func TestMerge_CodexTables(t *testing.T) {
	text := "a = 1\n\n[mcp_servers.zai-image]\ncommand = \"/old/zai-image-mcp\"\n\n[mcp_servers.zai-image.env]\nX = \"y\"\n\n[z]\nb = 2"
	m, err := find(t, "codex").Merge([]byte(text), server())
	require.NoError(t, err)
	assert.Equal(t, []string{"command"}, m.Changes)
	assert.Equal(t, map[string]any{"X": "y"}, entry(t, "codex", m.Text)["env"], "variables of the user are kept")
	assert.Equal(t, map[string]any{"b": int64(2)}, parse(t, "codex", m.Text)["z"])
	assert.NotContains(t, string(m.Text), "/old/")
	for _, text := range []string{"a = 1", "a = 1\n", "\n", "[x]\ny=1"} {
		m, err := find(t, "codex").Merge([]byte(text), server())
		require.NoError(t, err)
		assert.Contains(t, parse(t, "codex", m.Text), "mcp_servers", "%q", text)
	}
}

// TOML has several forms for the same value. Merge either changes only this
// server or fails with ErrForm.
func TestMerge_CodexForms(t *testing.T) {
	for text, works := range map[string]bool{
		"mcp_servers = { other = { command = \"x\" } }\n":                                         false,
		"[mcp_servers]\nzai-image = { command = \"x\" }\n":                                        false,
		"[mcp_servers]\nzai-image.command = \"x\"\n":                                              false,
		"mcp_servers.zai-image.command = \"x\"\n":                                                 false,
		"[mcp_servers.\"zai\\u002dimage\"]\ncommand = \"x\"\n":                                    false,
		"a = '''\n[mcp_servers.zai-image]\ntext\n'''\n":                                           false,
		"[mcp_servers.zai-image]\ncommand = \"x\"\nargs = [\n\"a\"]\n[z]\nb = 1\n":                true,
		"[mcp_servers.\"zai-image.dev\"]\ncommand = \"x\"\n":                                      true,
		"[ mcp_servers . zai-image ]\ncommand = \"x\"\n\n# precious note\n# model = \"x\"\n[z]\n": true,
		"[[projects]]\nname = \"a\"\n[[projects]]\nname = \"b\"\n":                                true,
		"\ufeffa = 1\n": false,
	} {
		var before, after map[string]any
		m, err := find(t, "codex").Merge([]byte(text), server())
		if !works {
			require.ErrorIs(t, err, hostconfig.ErrForm, text)
			continue
		}
		require.NoError(t, err, text)
		require.NoError(t, toml.Unmarshal([]byte(text), &before))
		require.NoError(t, toml.Unmarshal(m.Text, &after), "%s", m.Text)
		assert.Equal(t, server().Command, entry(t, "codex", m.Text)["command"])
		for _, table := range []map[string]any{before, after} {
			if servers, ok := table["mcp_servers"].(map[string]any); ok {
				if delete(servers, "zai-image"); len(servers) == 0 {
					delete(table, "mcp_servers")
				}
			}
		}
		assert.Equal(t, before, after, text)
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "#") {
				assert.Contains(t, string(m.Text), line)
			}
		}
	}
	m, err := find(t, "codex").Merge([]byte("a = 1\r\n[b]\r\nc = 2\r\n"), server())
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(m.Text), "a = 1\r\n[b]\r\nc = 2\r\n"))
	assert.Equal(t, strings.Count(string(m.Text), "\n"), strings.Count(string(m.Text), "\r\n"))
}

// All other lines keep their line endings, even in a file with mixed ones. New
// lines get the line ending of most lines.
func TestMerge_CodexMixedLineEndings(t *testing.T) {
	for text, end := range map[string]string{
		"a = 1\r\nb = 2\n": "\n", "a = 1\r\nb = 2\nc = 3\r\n": "\r\n", "a = 1\r\nb = \"\"\"x\ny\"\"\"\n": "\n", "a = 1\r\nb = 2": "\r\n",
	} {
		m, err := find(t, "codex").Merge([]byte(text), server())
		require.NoError(t, err)
		added, found := strings.CutPrefix(string(m.Text), text)
		require.True(t, found, "%q", m.Text)
		assert.Equal(t, strings.Count(added, "\n"), strings.Count(added, end))
		assert.Equal(t, end == "\r\n", strings.Contains(added, "\r"))
		moved := server()
		moved.Command = "/elsewhere/zai-image-mcp"
		again, err := find(t, "codex").Merge(append(bytes.Clone(m.Text), "[z]\nq = 1\r\n"...), moved)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(again.Text), text))
		assert.True(t, strings.HasSuffix(string(again.Text), "[z]\nq = 1\r\n"))
	}
}
