package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
