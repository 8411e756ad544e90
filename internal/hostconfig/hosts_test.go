package hostconfig_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/hostconfig"
)

// Entry returns a complete configuration that contains only this server. Merge writes the
// same to an empty file, except for VS Code: there, only the entry of a project names the
// folder that is open.
func TestEntry(t *testing.T) {
	for _, name := range hostconfig.Names() {
		t.Run(name, func(t *testing.T) {
			text, err := find(t, name).Entry(server())
			require.NoError(t, err)
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(text), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), text)
			merged, err := find(t, name).Merge(nil, server())
			require.NoError(t, err)
			if name == "vscode" {
				want := servers(t, name, []byte(text))[hostconfig.ServerName].(map[string]any)
				assert.Equal(t, []any{"--project", "${workspaceFolder}"}, want["args"])
				want["args"] = []any{}
				assert.Equal(t, want, entry(t, name, merged.Text))
			} else {
				assert.Equal(t, text, string(merged.Text))
			}
			var parsed map[string]any
			if name == "codex" {
				require.NoError(t, toml.Unmarshal([]byte(text), &parsed))
			} else {
				require.NoError(t, json.Unmarshal([]byte(text), &parsed))
			}
			if name == "vscode" {
				assert.Equal(t, 2, strings.Count(text, "zai-key"), "the host prompts for the key: one input, one reference")
				assert.NotContains(t, text, hostconfig.Placeholder)
				return
			}
			assert.Contains(t, text, hostconfig.Placeholder)
		})
	}
}

// Each host has its configuration file at the documented place on each system.
func TestHost_File(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED here: the paths below have slashes")
	}
	none := func(string) string { return "" }
	variables := func(name string) string {
		return map[string]string{"APPDATA": "/h/Roaming", "XDG_CONFIG_HOME": "/x", "CODEX_HOME": "/c", "COPILOT_HOME": "/p"}[name]
	}
	tests := []struct {
		host, system string
		env          func(string) string
		want         string
	}{
		{"claude-desktop", "linux", none, "/h/.config/Claude/claude_desktop_config.json"},
		{"claude-desktop", "linux", variables, "/x/Claude/claude_desktop_config.json"},
		{"claude-desktop", "darwin", variables, "/h/Library/Application Support/Claude/claude_desktop_config.json"},
		{"claude-desktop", "windows", variables, "/h/Roaming/Claude/claude_desktop_config.json"},
		{"claude-desktop", "windows", none, "/h/AppData/Roaming/Claude/claude_desktop_config.json"},
		{"vscode", "linux", none, "/h/.config/Code/User/mcp.json"},
		{"vscode", "darwin", none, "/h/Library/Application Support/Code/User/mcp.json"},
		{"vscode", "windows", variables, "/h/Roaming/Code/User/mcp.json"},
		{"claude-code", "linux", none, "/h/.claude.json"},
		{"claude-code", "linux", func(string) string { return "/d" }, "/d/.claude.json"},
		{"cursor", "darwin", none, "/h/.cursor/mcp.json"},
		{"codex", "linux", none, "/h/.codex/config.toml"},
		{"codex", "linux", variables, "/c/config.toml"},
		{"gemini", "windows", none, "/h/.gemini/settings.json"},
		{"opencode", "linux", none, "/h/.config/opencode/opencode.json"},
		{"opencode", "linux", variables, "/x/opencode/opencode.json"},
		{"zcode", "linux", variables, "/h/.zcode/cli/config.json"},
		{"zcode", "windows", none, "/h/.zcode/cli/config.json"},
		{"copilot-cli", "linux", none, "/h/.copilot/mcp-config.json"},
		{"copilot-cli", "darwin", variables, "/p/mcp-config.json"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, find(t, tt.host).File(hostconfig.Machine{OS: tt.system, Home: "/h", Env: tt.env}), "%s on %s", tt.host, tt.system)
	}
	glob := func(pattern string) ([]string, error) {
		if pattern == "/l/Packages/Claude_*/LocalCache/Roaming/Claude" {
			return []string{"/l/Packages/Claude_1/LocalCache/Roaming/Claude"}, nil
		}
		return nil, nil
	}
	local := func(name string) string { return map[string]string{"LOCALAPPDATA": "/l", "APPDATA": "/r"}[name] }
	for system, want := range map[string]string{"windows": "/l/Packages/Claude_1/LocalCache/Roaming/Claude/claude_desktop_config.json", "linux": "/h/.config/Claude/claude_desktop_config.json"} {
		assert.Equal(t, want, find(t, "claude-desktop").File(hostconfig.Machine{OS: system, Home: "/h", Env: local, Glob: glob}))
	}
	commented := func(string) ([]string, error) { return []string{"/h/.config/opencode/opencode.jsonc"}, nil }
	assert.Equal(t, "/h/.config/opencode/opencode.jsonc", find(t, "opencode").File(hostconfig.Machine{OS: "linux", Home: "/h", Env: none, Glob: commented}))
	_, err := hostconfig.Find("notepad")
	require.Error(t, err)
}
