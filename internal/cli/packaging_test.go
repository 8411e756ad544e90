package cli

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/hostconfig"
)

// The registry entry has this version and every bundle of a release. The owner and
// the hashes are placeholders that the release replaces.
func TestRegistryEntry(t *testing.T) {
	raw := readFile(t, "packaging/server.json")
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

// The change log has the format of https://keepachangelog.com: first the
// unreleased changes, then this version.
func TestChangelog(t *testing.T) {
	text := readPage(t, "CHANGELOG.md")
	var versions []string
	for _, heading := range regexp.MustCompile(`(?m)^## \[(.+?)\]`).FindAllStringSubmatch(text, -1) {
		versions = append(versions, heading[1])
	}
	require.GreaterOrEqual(t, len(versions), 2)
	assert.Equal(t, []string{"Unreleased", version}, versions[:2])
	for _, heading := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(text, -1) {
		assert.Contains(t, []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}, heading[1])
	}
}

// The README links to a page for each host. The page shows the entry that config
// prints.
func TestHostPages(t *testing.T) {
	readme := readPage(t, "README.md")
	found := glob(t, "docs/hosts/*.md")
	require.NotEmpty(t, found)
	for _, page := range found {
		assert.Contains(t, readme, "("+page+")", "the README links to it")
	}
	for _, name := range hostconfig.Names() {
		page := name
		if name == "gemini" {
			page = "gemini-cli"
		}
		text := readPage(t, "docs/hosts/"+page+".md")
		assert.Contains(t, text, "\n"+hostEntry(t, name, "/path/to/zai-image-mcp")+"```", page)
		assert.Contains(t, text, "zai-image-mcp config "+name+" --write", page)
		assert.Contains(t, readme, "`config "+name+"`", "the README names the command")
	}
}

// hostEntry returns the configuration that config prints for a host.
func hostEntry(t *testing.T, name, command string) string {
	t.Helper()
	host, err := hostconfig.Find(name)
	require.NoError(t, err)
	entry, err := host.Entry(hostconfig.Server{Command: command})
	require.NoError(t, err)
	return entry
}

// writtenEntry returns the configuration that config --write writes for a host, with the
// program's name in place of its path.
func writtenEntry(t *testing.T, name string) []byte {
	t.Helper()
	host, err := hostconfig.Find(name)
	require.NoError(t, err)
	merged, err := host.Merge(nil, hostconfig.Server{Command: "zai-image-mcp"})
	require.NoError(t, err)
	return merged.Text
}

// Install links contain the entry that config --write writes, with the program's name in
// place of its path.
func TestInstallLinks_Cursor(t *testing.T) {
	var want struct {
		Servers map[string]json.RawMessage `json:"mcpServers"`
	}
	require.NoError(t, json.Unmarshal(writtenEntry(t, "cursor"), &want))
	require.Contains(t, want.Servers, hostconfig.ServerName)
	count := 0
	for _, page := range []string{"README.md", "docs/hosts/cursor.md"} {
		// https://cursor.com/docs/mcp/install-links. GitHub removes cursor:// links.
		for _, link := range installLinks(t, page, `(?:https://cursor\.com/en/install-mcp|cursor://anysphere\.cursor-deeplink/mcp/install)\?\S+`) {
			count++
			assert.Equal(t, hostconfig.ServerName, link.Get("name"), page)
			config, err := base64.StdEncoding.DecodeString(link.Get("config"))
			require.NoError(t, err, page)
			assert.JSONEq(t, string(want.Servers[hostconfig.ServerName]), string(config), page)
		}
	}
	assert.Equal(t, 3, count)
}

func TestInstallLinks_VSCode(t *testing.T) {
	var want struct {
		Inputs  json.RawMessage            `json:"inputs"`
		Servers map[string]json.RawMessage `json:"servers"`
	}
	require.NoError(t, json.Unmarshal(writtenEntry(t, "vscode"), &want))
	require.Contains(t, want.Servers, hostconfig.ServerName)
	for _, page := range []string{"README.md", "docs/hosts/vscode.md"} {
		links := installLinks(t, page, `https://insiders\.vscode\.dev/redirect/mcp/install\?\S+`)
		require.Len(t, links, 1, page)
		assert.Equal(t, hostconfig.ServerName, links[0].Get("name"), page)
		assert.JSONEq(t, string(want.Inputs), links[0].Get("inputs"), page)
		assert.JSONEq(t, string(want.Servers[hostconfig.ServerName]), links[0].Get("config"), page)
	}
}

// installLinks returns the query parameters of the links on a page that match a
// pattern.
func installLinks(t *testing.T, page, pattern string) (queries []url.Values) {
	t.Helper()
	for _, link := range regexp.MustCompile(pattern).FindAllString(readPage(t, page), -1) {
		u, err := url.Parse(link)
		require.NoError(t, err, page)
		query, err := url.ParseQuery(u.RawQuery)
		require.NoError(t, err, page)
		queries = append(queries, query)
	}
	return queries
}

// The manifest of the bundle has this version, all tools, and only settings that
// exist.
func TestBundleManifest(t *testing.T) {
	raw := readFile(t, "packaging/manifest.json")
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
	assert.Equal(t, []string{"generate_image", "get_image", "list_images", "export_image"}, names)
	flags := flagTable(t)
	for name, value := range m.Server.Config.Env {
		assert.True(t, name == "ZAI_API_KEY" || strings.Contains(flags, "`"+name+"`"), name)
		_, asked := m.UserConfig[strings.TrimSuffix(strings.TrimPrefix(value, "${user_config."), "}")]
		assert.True(t, asked, "%s=%s is not in user_config", name, value)
	}
	assert.True(t, m.UserConfig["api_key"].Sensitive)
	assert.True(t, m.UserConfig["api_key"].Required)
}
