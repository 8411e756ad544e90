package hostconfig_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"
	"github.com/tailscale/hujson"

	"zai-image-mcp/internal/hostconfig"
)

var update = flag.Bool("update", false, "write the golden files")

func server() hostconfig.Server {
	return hostconfig.Server{Command: `C:\Program Files\zai "image"\zai-image-mcp.exe`}
}

func withKeyFile() hostconfig.Server {
	s := server()
	s.KeyFile = "/etc/key"
	return s
}

func withSandbox() hostconfig.Server {
	s := server()
	s.Sandbox = true
	return s
}

func find(t *testing.T, name string) hostconfig.Host {
	t.Helper()
	h, err := hostconfig.Find(name)
	require.NoError(t, err)
	return h
}

// serversPath returns the path of the object with a host's servers.
func serversPath(name string) []string {
	switch name {
	case "vscode":
		return []string{"servers"}
	case "opencode":
		return []string{"mcp"}
	case "zcode":
		return []string{"mcp", "servers"}
	case "codex":
		return []string{"mcp_servers"}
	default:
		return []string{"mcpServers"}
	}
}

// wrap returns a host's JSON configuration that contains servers.
func wrap(name, servers string) string {
	for _, field := range slices.Backward(serversPath(name)) {
		servers = fmt.Sprintf("{%q: %s}", field, servers)
	}
	return servers
}

// parse parses a configuration of a host.
func parse(t *testing.T, name string, text []byte) map[string]any {
	t.Helper()
	var all map[string]any
	if name == "codex" {
		require.NoError(t, toml.Unmarshal(text, &all), string(text))
		return all
	}
	standard, err := hujson.Standardize(bytes.Clone(text))
	require.NoError(t, err, string(text))
	require.NoError(t, json.Unmarshal(standard, &all))
	return all
}

// servers returns the servers in a configuration.
func servers(t *testing.T, name string, text []byte) map[string]any {
	t.Helper()
	all := parse(t, name, text)
	for _, field := range serversPath(name) {
		require.Contains(t, all, field, string(text))
		all = all[field].(map[string]any)
	}
	return all
}

// entry returns this server's entry in a configuration.
func entry(t *testing.T, name string, text []byte) map[string]any {
	t.Helper()
	return servers(t, name, text)[hostconfig.ServerName].(map[string]any)
}
