package cli

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

const pluginFolder = "packaging/claude-code-plugin/"

// The Claude Code plugin has the version of the program and starts it with the key
// from the user's environment. The marketplace lists the plugin.
func TestPlugin_Manifest(t *testing.T) {
	var manifest, listed struct{ Name, Version string }
	require.NoError(t, json.Unmarshal(readFile(t, pluginFolder+".claude-plugin/plugin.json"), &manifest))
	assert.Equal(t, version, manifest.Version)

	var marketplace struct{ Plugins []json.RawMessage }
	require.NoError(t, json.Unmarshal(readFile(t, ".claude-plugin/marketplace.json"), &marketplace))
	require.Len(t, marketplace.Plugins, 1)
	require.NoError(t, json.Unmarshal(marketplace.Plugins[0], &listed))
	assert.Equal(t, manifest.Name, listed.Name)
	var source struct{ Source string }
	require.NoError(t, json.Unmarshal(marketplace.Plugins[0], &source))
	assert.Equal(t, "./"+pluginFolder, source.Source+"/")

	var servers struct {
		MCPServers map[string]struct {
			Command string
			Env     map[string]string
		} `json:"mcpServers"`
	}
	require.NoError(t, json.Unmarshal(readFile(t, pluginFolder+".mcp.json"), &servers))
	server, ok := servers.MCPServers["zai-image"]
	require.True(t, ok)
	assert.Equal(t, "zai-image-mcp", server.Command)
	assert.Equal(t, map[string]string{"ZAI_API_KEY": "${ZAI_API_KEY:-}"}, server.Env)
}

// The skill names only tools, models and error kinds that exist.
func TestPlugin_Skill(t *testing.T) {
	skill := readPage(t, pluginFolder+"skills/zai-images/SKILL.md")
	words := map[string]bool{}
	for _, match := range regexp.MustCompile("`([a-z]+[a-z0-9]*[_-][a-z0-9_-]+)`").FindAllStringSubmatch(skill, -1) {
		words[match[1]] = true
	}
	known := map[string]bool{"generate_image": true, "get_image": true, "list_images": true, "export_image": true, "save_as": true}
	for _, model := range zai.Models(zai.Global) {
		known[model.ID] = true
	}
	_, kinds, _ := section(t, readPage(t, "README.md"), "errors")
	for _, kind := range regexp.MustCompile("(?m)^\\| `([a-z_]+)`").FindAllStringSubmatch(kinds, -1) {
		known[kind[1]] = true
	}
	require.Greater(t, len(words), 8)
	for word := range words {
		assert.True(t, known[word], word)
	}
	for _, name := range []string{"generate_image", "get_image", "list_images", "export_image", "cogview-4-250304", "glm-image"} {
		assert.True(t, words[name], name)
	}
}
