package cli

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/hostconfig"
)

// What a registry is told is about this version and every bundle of a release;
// owner and hashes are filled in when there is one.
func TestRegistryEntry(t *testing.T) {
	raw, err := os.ReadFile("packaging/server.json")
	require.NoError(t, err)
	var entry struct {
		Version  string
		Packages []struct{ Identifier, FileSha256 string }
	}
	require.NoError(t, json.Unmarshal(raw, &entry))
	assert.Equal(t, version, entry.Version)
	var names []string
	for _, p := range entry.Packages {
		names = append(names, path.Base(p.Identifier))
		assert.Contains(t, p.Identifier, "/v"+version+"/")
		assert.Equal(t, strings.Repeat("0", 64), p.FileSha256)
	}
	assert.Equal(t, []string{
		"zai-image-mcp-darwin-amd64.mcpb", "zai-image-mcp-darwin-arm64.mcpb", "zai-image-mcp-linux-amd64.mcpb",
		"zai-image-mcp-linux-arm64.mcpb", "zai-image-mcp-windows-amd64.mcpb", "zai-image-mcp-windows-arm64.mcpb",
	}, names)
}

// The newest changes are this version's.
func TestChangelog(t *testing.T) {
	raw, err := os.ReadFile("CHANGELOG.md")
	require.NoError(t, err)
	text := strings.Replace(string(raw), "\n## Unreleased\n", "\n", 1) // becomes a version when it is released
	_, rest, _ := strings.Cut(text, "\n## ")
	newest, _, _ := strings.Cut(rest, "\n")
	assert.Equal(t, version, strings.TrimSpace(newest))
}

// Each host has a page, which shows what the command writes.
func TestHostPages(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	pages, err := filepath.Glob("docs/hosts/*.md")
	require.NoError(t, err)
	for _, page := range pages {
		assert.Contains(t, string(readme), "("+filepath.ToSlash(page)+")", "the README leads to it")
	}
	for _, name := range hostconfig.Names() {
		client, err := hostconfig.Find(name)
		require.NoError(t, err)
		entry, err := client.Entry(hostconfig.Server{Command: "/path/to/zai-image-mcp"})
		require.NoError(t, err)
		page := name
		if name == "gemini" {
			page = "gemini-cli"
		}
		raw, err := os.ReadFile("docs/hosts/" + page + ".md")
		require.NoError(t, err)
		text := strings.ReplaceAll(string(raw), "\r\n", "\n")
		assert.Contains(t, text, "\n"+entry+"```", page)
		assert.Contains(t, text, "zai-image-mcp config "+name+" --write", page)
	}
}

// The bundle for desktop hosts speaks of this version, these tools and these
// settings.
func TestBundleManifest(t *testing.T) {
	raw, err := os.ReadFile("packaging/manifest.json")
	require.NoError(t, err)
	var m struct {
		Version string
		Tools   []struct{ Name string }
		Server  struct {
			Config struct {
				Env map[string]string
			} `json:"mcp_config"`
		}
		UserConfig map[string]struct {
			Sensitive, Required bool
		} `json:"user_config"`
	}
	require.NoError(t, json.Unmarshal(raw, &m))
	assert.Equal(t, version, m.Version)
	var names []string
	for _, tool := range m.Tools {
		names = append(names, tool.Name)
	}
	assert.Equal(t, []string{"generate_image", "get_image", "list_images"}, names)
	flags := flagTable(t)
	for name, value := range m.Server.Config.Env {
		assert.True(t, name == "ZAI_API_KEY" || strings.Contains(flags, "`"+name+"`"), name)
		_, asked := m.UserConfig[strings.TrimSuffix(strings.TrimPrefix(value, "${user_config."), "}")]
		assert.True(t, asked, "%s=%s is asked for", name, value)
	}
	assert.True(t, m.UserConfig["api_key"].Sensitive)
	assert.True(t, m.UserConfig["api_key"].Required)
}
